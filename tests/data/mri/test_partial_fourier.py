"""Partial Fourier: the other side of k-space, of images with a smooth phase."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medrecon.data.mri.birdcage import background_phase
from medrecon.data.mri.partial_fourier import OneSide, homodyne, pocs
from medrecon.data.phantoms.mri_phantoms import brain
from medrecon.operators import Fourier
from medrecon.spaces import image_space


def scan(shape: tuple[int, int]) -> Tensor:
    """K-space of the brain phantom with a smooth phase."""
    phase = background_phase(shape, torch.Generator().manual_seed(3))
    return Fourier(image_space(shape))(brain().image(shape) * phase)


def lines(start: int, stop: int, n: int) -> Tensor:
    index = torch.arange(n)
    return (index >= start) & (index < stop)


def error(kspace: Tensor, full: Tensor) -> float:
    """Of the magnitude images."""
    fourier = Fourier(image_space((full.shape[-2], full.shape[-1])))
    found, truth = fourier.H(kspace).abs(), fourier.H(full).abs()
    return float((found - truth).norm() / truth.norm())


@pytest.mark.parametrize("n", [64, 65])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("complete", [homodyne, pocs])
def test_the_other_side_is_found(n: int, is_first: bool, complete) -> None:  # type: ignore[no-untyped-def]
    full = scan((48, n))
    start, stop = (0, n * 5 // 8) if is_first else (n - n * 5 // 8, n)
    sampled = lines(start, stop, n)
    measured = full * sampled
    filled = complete(measured, OneSide.of(sampled))
    assert error(filled, full) < 0.4 * error(measured, full)


def test_measured_lines_stay_with_projections() -> None:
    full, sampled = scan((48, 64)), lines(0, 40, 64)
    filled = pocs(full * sampled, OneSide.of(sampled))
    torch.testing.assert_close(filled[:, :40], full[:, :40], rtol=0, atol=0)


@pytest.mark.parametrize("n", [16, 17])
def test_an_image_without_phase_is_met_by_homodyne(n: int) -> None:
    """Of a real image the other side is the conjugate of the mirrored one."""
    image = torch.randn((12, n), generator=torch.Generator().manual_seed(0), dtype=torch.float64).abs() + 8
    full = Fourier(image_space((12, n)))(image + 0j)
    side = OneSide.of(lines(n // 2 - 2, n, n))
    places = torch.arange(n) - n // 2
    even = full.clone()
    even[:, places == -(n / 2)] = 0  # the line that has no mirror image
    found = Fourier(image_space((12, n))).H(homodyne(even * side.acquired(), side))
    wanted = Fourier(image_space((12, n))).H(even)
    assert float((found - wanted).norm() / wanted.norm()) < 0.02


@pytest.mark.parametrize(
    ("sampled", "why"),
    [
        (torch.arange(32) % 2 == 0, "got a mask with gaps"),
        (lines(0, 12, 32), "got a mask with gaps"),
        (lines(4, 29, 32), "got as many"),
        (torch.ones((8, 32), dtype=torch.bool), "or of points"),
    ],
)
def test_other_masks_are_refused(sampled: Tensor, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        OneSide.of(sampled)
