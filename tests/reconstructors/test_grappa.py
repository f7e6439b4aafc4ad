"""GRAPPA against the truth, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medrecon.operators import LinearOperator
from medrecon.reconstructors import Grappa, RootSumOfSquares
from medrecon.spaces import root_sum_of_squares
from tests.kspace_files import SimulatedScan, simulated_scan
from tests.problems import coils


@pytest.fixture(scope="module")
def scan() -> SimulatedScan:
    return simulated_scan((64, 60), acceleration=1, snr=60.0, n_coils=8)


def every(spacing: int, n: int = 60, *, first: int = 0, center: int = 20) -> Tensor:
    sampled = torch.zeros(n, dtype=torch.bool)
    sampled[first::spacing] = True
    sampled[n // 2 - center // 2 : n // 2 - center // 2 + center] = True
    return sampled


def posed(scan: SimulatedScan, sampled: Tensor) -> tuple[Tensor, LinearOperator]:
    n_coils, ky, kx = scan.kspace.shape
    return scan.kspace * sampled, coils(n_coils, (ky, kx), sampled)


def error(x: Tensor, scan: SimulatedScan) -> float:
    truth = root_sum_of_squares(scan.maps * scan.truth, -3)
    return float((x - truth).norm() / truth.norm())


@pytest.mark.parametrize(("spacing", "most"), [(2, 0.08), (3, 0.12)])
@pytest.mark.parametrize("first", [0, 1])
def test_missing_lines_are_found_at_any_offset(scan: SimulatedScan, spacing: int, most: float, first: int) -> None:
    y, A = posed(scan, every(spacing, first=first))
    found, zero_filled = error(Grappa()(y, A), scan), error(RootSumOfSquares()(y, A), scan)
    assert found < most
    assert found < 0.6 * zero_filled


def test_measured_samples_stay(scan: SimulatedScan) -> None:
    sampled = every(3, first=2)
    y, A = posed(scan, sampled)
    filled = Grappa().fill(y, A)
    torch.testing.assert_close(filled[..., sampled], y[..., sampled], rtol=0, atol=0)
    assert bool((filled != 0).any(0).any(0).all())


def test_lines_along_the_other_axis(scan: SimulatedScan) -> None:
    sampled = every(2)
    y, A = posed(scan, sampled)
    turned = coils(8, (60, 64), sampled[:, None].expand(60, 64))
    torch.testing.assert_close(Grappa()(y.mT.contiguous(), turned), Grappa()(y, A).mT, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("spacing", "first"), [(2, 0), (3, 1), (4, 3)])
def test_a_linear_relation_between_neighbors_is_found_exactly(spacing: int, first: int) -> None:
    """A lone plane wave of the image is one factor from sample to sample."""
    ky, kx = torch.arange(24)[:, None], torch.arange(60)
    kspace = torch.exp(2j * torch.pi * (0.13 * ky + 0.07 * kx)) * torch.tensor([1.0, 0.5 + 1j])[:, None, None]
    sampled = every(spacing, first=first)
    filled = Grappa(weight=1e-9).fill(kspace * sampled, coils(2, (24, 60), sampled))
    inside = (slice(None), slice(2, -2), slice(2 * spacing, -2 * spacing))
    torch.testing.assert_close(filled[inside], kspace[inside], rtol=0, atol=1e-4)


def test_a_full_scan_is_its_root_sum_of_squares(scan: SimulatedScan) -> None:
    y, A = posed(scan, torch.ones(60, dtype=torch.bool))
    torch.testing.assert_close(Grappa()(y, A), RootSumOfSquares()(y, A))


def test_few_calibration_lines_take_two_neighbors(scan: SimulatedScan) -> None:
    y, A = posed(scan, every(3, center=6))
    assert error(Grappa()(y, A), scan) < error(RootSumOfSquares()(y, A), scan)


def irregular() -> Tensor:
    sampled = every(4)
    sampled[torch.tensor([1, 2, 50])] = True
    return sampled


def with_a_hole() -> Tensor:
    sampled = every(2)
    sampled[4] = False
    return sampled


@pytest.mark.parametrize(
    ("sampled", "why"),
    [
        (irregular(), "every second to eighth line, got irregular ones; take sense"),
        (with_a_hole(), "got one line in 2 with holes; take sense"),
        (torch.arange(60) % 2 == 1, "calibration lines in the middle of k-space, got none; take rss"),
        (every(4, first=2, center=3), "at least 5 calibration lines for one line in 4, got 3; sample more"),
        (torch.rand((64, 60), generator=torch.Generator().manual_seed(0)) < 0.5, "got a mask of points; take sense"),
    ],
)
def test_other_masks_are_refused_with_the_remedy(scan: SimulatedScan, sampled: Tensor, why: str) -> None:
    y, A = posed(scan, sampled)
    with pytest.raises(ValueError, match=why):
        Grappa()(y, A)


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0, got -1"):
        Grappa(weight=-1)
