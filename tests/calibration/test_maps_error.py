"""What coil maps cannot explain: nothing of a sound scan, much where the object is wider than its field; and what that is worth."""

from __future__ import annotations

import importlib
from functools import cache

import pytest
import torch
from torch import Tensor

from medrecon.calibration import estimate_maps, maps_error, narrow_doubt
from medrecon.data.mri.masks import equispaced_fraction_mask
from medrecon.data.mri.noise import add_noise
from medrecon.operators import LinearOperator, sense, stack
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import Sense, TotalVariation, WaveletSparsity, ZeroFilled
from medrecon.spaces import root_sum_of_squares
from tests.problems import coil_images, coils, ct, disks, maps

_SIZE, _WIDTH, _COILS = (64, 96), 64, 6


@cache
def scan(*, wrapped: bool, snr: float = 60.0, lines: float = 0.16) -> tuple[Tensor, LinearOperator, Tensor]:
    """An object of 80 columns, on 96 or folded to 64, at 3x with maps of its own calibration; and what a full scan shows."""
    x = maps(_COILS, _SIZE) * disks(_SIZE)
    if wrapped:
        places = (torch.arange(_SIZE[1]) - _SIZE[1] // 2 + _WIDTH // 2) % _WIDTH
        x = x.new_zeros((_COILS, _SIZE[0], _WIDTH)).index_add(-1, places, x)
    whole = coils(_COILS, (x.shape[-2], x.shape[-1]), torch.ones(x.shape[-1], dtype=torch.bool))
    full = add_noise(whole(x), snr, torch.Generator().manual_seed(1))
    sampled = equispaced_fraction_mask(x.shape[-1], 3, lines, 2).sampled
    y = full * sampled
    return y, sense(sampled, estimate_maps(y, sampled).maps), root_sum_of_squares(whole.H(full), -3)


@pytest.mark.parametrize("snr", [8.0, 30.0, 100.0, 1e4])
def test_maps_that_hold_have_none(snr: float) -> None:
    y, A, _ = scan(wrapped=False, snr=snr)
    assert float(maps_error(y, A)) == 0


@pytest.mark.parametrize("snr", [20.0, 100.0, 1e4])
def test_one_set_of_maps_cannot_stand_for_a_wrapped_object(snr: float) -> None:
    y, A, _ = scan(wrapped=True, snr=snr)
    assert 0.03 < float(maps_error(y, A)) < 0.5


def test_it_has_no_unit_and_each_of_a_batch_its_own() -> None:
    scans = [scan(wrapped=True), scan(wrapped=True, snr=20.0)]
    y, A = torch.stack([y for y, _, _ in scans]), stack([A for _, A, _ in scans])
    alone = torch.stack([maps_error(y, A) for y, A, _ in scans])
    torch.testing.assert_close(maps_error(y, A), alone, rtol=1e-3, atol=0)
    torch.testing.assert_close(maps_error(1e-4 * y, A), alone, rtol=1e-3, atol=0)


def test_a_sound_scan_beside_a_wrapped_one_keeps_its_image() -> None:
    (y, A, _), (wrong, other, _) = scan(wrapped=True), scan(wrapped=True, snr=21.0)
    sound = A(ZeroFilled()(y, A))
    errors = maps_error(torch.stack([sound, wrong]), stack([A, other]))
    assert float(errors[0]) == 0 < float(errors[1])


def test_there_is_none_where_nothing_can_tell() -> None:
    single = sense(torch.ones(18, dtype=torch.bool), torch.ones(1, 20, 18, dtype=torch.complex64))
    y = single.range.random((2,), generator=torch.Generator().manual_seed(0))
    assert maps_error(y, single).tolist() == [0, 0]
    y, A, _ = scan(wrapped=True)
    assert float(maps_error(torch.zeros_like(y), A)) == 0
    for other in (coil_images(), ct()):
        assert maps_error(other.y, other.A).tolist() == [0]


def psnr(reconstruct: Reconstructor, *, wrapped: bool = True) -> float:
    y, A, target = scan(wrapped=wrapped)
    return float(20 * (target.max() * target.numel() ** 0.5 / (reconstruct(y, A).abs() - target).norm()).log10())


@pytest.mark.parametrize(
    ("method", "least"), [(WaveletSparsity(iterations=60), 0.0), (TotalVariation(), 0.5), (Sense(), -1.0)], ids=str
)
def test_a_default_makes_no_less_of_a_wrapped_object_than_zero_filling(
    method: Reconstructor, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert psnr(method) > psnr(ZeroFilled()) + least
    for module in ("sense", "total_variation", "wavelet"):
        named = importlib.import_module(f"medrecon.reconstructors.{module}")
        monkeypatch.setattr(named, "maps_error", lambda y, A: y.abs().new_zeros(A.range.batch_shape(y)))
    assert psnr(method) < psnr(ZeroFilled()) - 5


@pytest.mark.parametrize("method", [WaveletSparsity(iterations=20), TotalVariation(iterations=4), Sense()], ids=str)
def test_in_a_batch_a_sound_scan_keeps_its_image_and_a_wrapped_one_has_its_own(method: Reconstructor) -> None:
    (y, A, _), (wrong, other, _) = scan(wrapped=True), scan(wrapped=True, snr=21.0)
    sound = A(ZeroFilled()(y, A))  # which the maps explain, since they made it
    both = method(torch.stack([sound, wrong]), stack([A, other]))
    for found, alone in zip(both, (method(sound, A), method(wrong, other)), strict=True):
        torch.testing.assert_close(found, alone, rtol=0, atol=2e-3 * float(alone.abs().max()))


def _central(y: Tensor, A: LinearOperator, lines: int) -> tuple[Tensor, LinearOperator]:
    """The scan as if only so many lines had been measured."""
    n = y.shape[-1]
    kept = torch.zeros(n, dtype=torch.bool)
    kept[n // 2 - lines // 2 : n // 2 - lines // 2 + lines] = True
    maps = A.factors[-1].maps  # type: ignore[attr-defined]
    return y * kept, sense(kept, maps)


def test_maps_of_hardly_any_lines_are_doubted_where_the_object_fills_its_field() -> None:
    sound, wrapped = scan(wrapped=False, lines=0.3)[:2], scan(wrapped=True, lines=0.3)[:2]
    y, A = _central(*wrapped, 5)
    assert float(narrow_doubt(y, A)) == 1
    assert float(narrow_doubt(torch.zeros_like(y), A)) == 1  # which has no error to be doubted
    inside = _central(*sound, 5)
    middle = torch.zeros(inside[0].shape[-2:])
    middle[:, 32:64] = 1
    seen = inside[1](middle.to(torch.complex64))
    assert float(narrow_doubt(seen, inside[1])) == 0
    assert float(narrow_doubt(*_central(*sound, 8))) == 1
    both = torch.stack([y, 0 * y])
    assert narrow_doubt(both, A).tolist() == [1, 1]
