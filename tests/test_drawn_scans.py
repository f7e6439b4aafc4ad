"""Scans by protocols that are drawn: within their ranges, and of the physics that they say."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from medrecon.config.mri import LineMaskSettings, MaskName
from medrecon.config.protocols import CTProtocols, MRIProtocols
from medrecon.data.ct.attenuation import MU_WATER
from medrecon.drawn_scans import CTProtocol, MRIProtocol, draw_ct, draw_mri
from medrecon.geometry import Arc, FanBeam, ParallelBeam
from medrecon.metrics import psnr
from medrecon.problem import sense_problem
from medrecon.reconstructors import FilteredBackprojection, Sense
from medrecon.spaces import root_sum_of_squares

SMALL = MRIProtocols(matrix=(64, 80), coils=(4, 8), calibration=(12, 16), acceleration=(2.0, 3.0))
EASY = SMALL.model_copy(update={"masks": (MaskName.EQUISPACED_FRACTION,), "wrapped": 0.0, "partial_share": 0.0})


def _head(n: int = 96) -> Tensor:
    """A head with a bright spot to its upper left, so that flips and shifts show."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, n), torch.linspace(-1, 1, n), indexing="ij")
    head = ((y / 0.8).square() + (x / 0.6).square() < 1).float()
    return head + 0.8 * (((y + 0.3) / 0.15).square() + ((x + 0.2) / 0.15).square() < 1).float()


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_protocols_of_mri_lie_within_their_ranges_and_reach_them() -> None:
    protocols = MRIProtocols()
    drawn = [MRIProtocol.draw(protocols, _generator(seed)) for seed in range(600)]
    assert {one.matrix % 2 for one in drawn} == {0}
    for name, low, high in (("coils", 1, 32), ("snr", 10, 100), ("matrix", 160, 512)):
        values = [getattr(one, name) for one in drawn]
        assert low <= min(values) < 1.2 * low + 0.5, name
        assert 0.9 * high < max(values) <= high, name
    assert set(Counter(one.mask.kind for one in drawn)) == set(protocols.masks)
    assert 0.08 < sum(one.field is not None for one in drawn) / 600 < 0.22
    assert 0.05 < sum(one.partial is not None for one in drawn) / 600 < 0.16
    assert min(one.mask.acceleration for one in drawn) >= 2
    assert max(one.mask.acceleration for one in drawn) <= 12
    assert len({one.mask.seed for one in drawn}) > 590
    for one in drawn:
        if isinstance(one.mask, LineMaskSettings):
            assert one.mask.center_fraction is not None
            assert (
                one.mask.center_fraction * one.mask.acceleration <= 0.66 or one.mask.center_fraction * one.matrix < 4.5
            )


def test_the_same_generator_gives_the_same_scan() -> None:
    first, again, other = (draw_mri(_head(), SMALL, _generator(seed), "head") for seed in (1, 1, 2))
    assert torch.equal(first.kspace, again.kspace)
    assert first.kspace.shape != other.kspace.shape or not torch.equal(first.kspace, other.kspace)


@pytest.mark.parametrize("seed", range(4))
def test_a_scan_of_mri_reconstructs_to_its_target(seed: int) -> None:
    quiet = EASY.model_copy(update={"snr": (300.0, 301.0), "acceleration": (1.5, 1.6)})
    sample = draw_mri(_head(), quiet, _generator(seed), "head")
    assert sample.target is not None
    problem = sense_problem(sample)
    image = problem.display_image(Sense()(problem.y, problem.A))
    assert psnr(image, sample.target, data_range=float(sample.target.max())) > 28


def test_the_noise_is_as_strong_as_is_said() -> None:
    protocol = MRIProtocol.draw(EASY, _generator(3))
    image = _head()
    image = image / image[image > 0.1].mean()
    noisy, quiet = (
        MRIProtocol(**{**vars(protocol), "snr": snr}).scan(image, _generator(5), "head") for snr in (20.0, 1e9)
    )
    kept = noisy.sampled
    noise = (noisy.kspace - quiet.kspace)[..., kept]
    unit = quiet.target.max() / image.max() if quiet.target is not None else torch.ones(())
    sigma = float(torch.view_as_real(noise).square().mean().sqrt() / unit)
    assert sigma == pytest.approx(1 / 20, rel=0.6)  # the receivers shade the image, and `unit` with it


def test_what_a_narrow_field_does_not_hold_wraps() -> None:
    protocol = MRIProtocol.draw(EASY, _generator(4))
    wide = protocol.scan(_head(), _generator(6), "head")
    narrow = MRIProtocol(**{**vars(protocol), "field": 0.8}).scan(_head(), _generator(6), "head")
    assert narrow.kspace.shape[-1] < wide.kspace.shape[-1]
    assert narrow.kspace.shape[-2] == wide.kspace.shape[-2]
    assert narrow.target is not None
    full = MRIProtocol(**{**vars(protocol), "field": 0.8, "snr": 1e9, "mask": _all()}).scan(
        _head(), _generator(6), "head"
    )
    assert full.target is not None
    torch.testing.assert_close(
        root_sum_of_squares(_images(full.kspace), -3), full.target, rtol=1e-3, atol=1e-3 * float(full.target.max())
    )


def _all() -> LineMaskSettings:
    return LineMaskSettings(kind=MaskName.EQUISPACED_FRACTION, acceleration=1.0, center_fraction=1.0, seed=0)


def _images(kspace: Tensor) -> Tensor:
    axes = (-2, -1)
    images: Tensor = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(kspace, dim=axes), norm="ortho"), dim=axes)
    return images


def test_partial_fourier_leaves_a_side_out() -> None:
    protocol = MRIProtocol.draw(EASY, _generator(8))
    sample = MRIProtocol(**{**vars(protocol), "partial": 0.7}).scan(_head(), _generator(9), "head")
    n = sample.sampled.shape[0]
    assert not bool(sample.sampled[math.ceil(0.7 * n) :].any())
    assert bool(sample.sampled[n // 2 - 3 : n // 2 + 3].all())


def test_protocols_of_ct_lie_within_their_ranges_and_see_the_whole_field() -> None:
    protocols = CTProtocols()
    drawn = [CTProtocol.draw(protocols, _generator(seed)) for seed in range(400)]
    kinds = Counter(type(one.geometry).__name__ for one in drawn)
    assert 0.25 < kinds["FanBeam"] / 400 < 0.45
    assert any(isinstance(one.geometry, FanBeam) and one.geometry.curved for one in drawn)
    assert any(not isinstance(one.geometry.angles, Arc) for one in drawn)
    for one in drawn:
        geometry = one.geometry
        assert 30 <= geometry.shape[0] <= 1200
        assert 300 <= one.photons <= 1e6
        assert 200 <= one.grid.extent[0] <= 500 + 1e-6
        assert geometry.field_radius >= one.grid.radius * (1 - 1e-9)
        turned = max(geometry.angles) - min(geometry.angles)
        assert turned <= 2 * math.pi
        if isinstance(geometry, ParallelBeam):
            assert 0.5 <= geometry.spacing <= 2.0


@pytest.mark.parametrize("seed", range(4))
def test_a_scan_of_ct_reconstructs_to_its_target(seed: int) -> None:
    good = CTProtocols(
        views=(300, 301), photons=(1e6, 1e6), limited=0.0, golden=0.0, uneven=0.0, matrix=(64, 65), fan=0.5
    )
    y, x = torch.meshgrid(torch.linspace(-1, 1, 128), torch.linspace(-1, 1, 128), indexing="ij")
    body = MU_WATER * ((y / 0.7).square() + (x / 0.8).square() < 1).float()
    body += 0.5 * MU_WATER * ((y + 0.3).square() + (x + 0.2).square() < 0.03).float()
    problem = draw_ct(body, good, _generator(seed))
    assert problem.target is not None
    image = FilteredBackprojection()(problem.y, problem.A)
    assert psnr(image, problem.target, data_range=float(problem.target.max())) > 22


def test_ranges_are_in_order() -> None:
    with pytest.raises(ValueError, match="takes the least and the largest, got 9 and 3"):
        MRIProtocols(snr=(9.0, 3.0))
    with pytest.raises(ValueError, match=r"takes at least 1, got 0\.5"):
        MRIProtocols(acceleration=(0.5, 3.0))
