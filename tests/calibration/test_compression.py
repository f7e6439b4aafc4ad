"""Coils compressed into virtual ones: what is kept, what is lost, and what stands for the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from medrecon.calibration import CoilCompression, VirtualCoils, estimate_maps, silent_maps
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.problem import coil_problem, sense_problem
from medrecon.reconstructors import Sense
from tests.kspace_files import SimulatedScan, simulated_scan

ALL = torch.ones(40, dtype=torch.bool)


def mixed(sources: int, n_coils: int, noise: float = 0.0) -> torch.Tensor:
    """K-space `(coil, 48, 40)` of which few combinations of coils hold all, bright in the middle; and white noise."""
    generator = torch.Generator().manual_seed(0)
    radius = (torch.arange(48)[:, None] - 24).square() + (torch.arange(40) - 20).square()
    signal = torch.randn((sources, 48, 40), dtype=torch.complex64, generator=generator) * torch.exp(-radius / 60)
    mixing = torch.randn((n_coils, sources), dtype=torch.complex64, generator=generator)
    kspace = (mixing @ signal.flatten(1)).reshape(n_coils, 48, 40)
    return kspace + noise * torch.randn(kspace.shape, dtype=torch.complex64, generator=generator)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_as_many_coils_are_made_as_hold_the_signal(noise: float) -> None:
    kspace = mixed(5, 30, noise)
    compression = CoilCompression.of(kspace, ALL, VirtualCoils(least=1))
    assert compression is not None
    assert compression.matrix.shape == (5, 30)
    assert compression.lost < 1e-4
    torch.testing.assert_close(compression.matrix @ compression.matrix.mH, torch.eye(5) + 0j, rtol=0, atol=1e-5)
    kept = compression(kspace).norm() / kspace.norm()
    assert kept == pytest.approx(1.0, abs=0.01)


def test_what_is_lost_is_told() -> None:
    kspace = mixed(5, 30)
    compression = CoilCompression.of(kspace, ALL, VirtualCoils(count=2))
    assert compression is not None
    energy = kspace[:, 8:40, 4:36].abs().square().sum()
    kept = compression(kspace)[:, 8:40, 4:36].abs().square().sum()
    assert compression.lost == pytest.approx(float(1 - kept / energy), abs=1e-4)
    assert 0.1 < compression.lost < 0.9


def test_white_noise_stays_white() -> None:
    noise = torch.randn((30, 48, 40), dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    compression = CoilCompression.of(mixed(5, 30), ALL, VirtualCoils(count=6))
    assert compression is not None
    virtual = compression(noise).flatten(1)
    covariance = virtual @ virtual.mH / virtual.shape[1]
    torch.testing.assert_close(covariance, torch.eye(6) + 0j, rtol=0, atol=0.12)


def test_few_coils_stay_as_they_are_unless_a_count_is_given() -> None:
    kspace = mixed(5, 24)
    assert CoilCompression.of(kspace, ALL) is None
    assert CoilCompression.of(kspace, ALL, VirtualCoils(count=24)) is None
    assert CoilCompression.of(kspace, ALL, VirtualCoils(count=23)) is not None


def test_without_calibration_lines_all_samples_tell() -> None:
    sampled = torch.arange(40) % 2 == 1
    compression = CoilCompression.of(mixed(5, 30) * sampled, sampled, VirtualCoils(least=1))
    assert compression is not None
    assert len(compression.matrix) == 5


def test_other_coils_and_no_coils_are_refused() -> None:
    compression = CoilCompression.of(mixed(5, 30), ALL)
    assert compression is not None
    with pytest.raises(ValueError, match="takes 30 coils, got"):
        compression(mixed(5, 8))
    with pytest.raises(ValueError, match="count of at least 1"):
        VirtualCoils(count=0)


def sample_of(scan: SimulatedScan) -> KSpaceSample:
    full = KSpaceSample.full(scan.kspace, None, (scan.kspace.shape[-2], scan.kspace.shape[-1]), "scan")
    return replace(full, kspace=scan.y, sampled=scan.sampled)


@pytest.fixture(scope="module")
def many() -> SimulatedScan:
    return simulated_scan((96, 80), n_coils=32, snr=40.0)


def test_virtual_coils_and_silent_ones_have_maps_of_unit_length(many: SimulatedScan) -> None:
    problem = sense_problem(sample_of(many), virtual_coils=VirtualCoils())
    assert problem.compression is not None
    n_virtual = len(problem.compression.matrix)
    assert n_virtual < 20
    maps = problem.A.factors[-1].maps  # type: ignore[attr-defined]
    torch.testing.assert_close(torch.linalg.vector_norm(maps, dim=0), torch.ones(96, 80), rtol=0, atol=1e-4)
    silent = torch.linalg.vector_norm(maps[n_virtual:], dim=0)
    inside = many.truth.abs() > 0.2
    assert float(silent[inside].mean()) < 0.2
    assert float(silent[many.truth.abs() == 0].mean()) > 3 * float(silent[inside].mean())
    assert not bool(problem.y[n_virtual:].any())


def test_an_image_of_virtual_coils_is_as_good_as_that_of_all(many: SimulatedScan) -> None:
    def error(rule: VirtualCoils | None) -> float:
        problem = sense_problem(sample_of(many), virtual_coils=rule)
        image = Sense()(problem.y, problem.A).abs()
        return many.psnr(image + many.truth - many.truth.abs())

    assert error(VirtualCoils()) > error(None) - 0.1


def test_maps_that_are_given_are_compressed_with_their_coils(many: SimulatedScan) -> None:
    problem = sense_problem(sample_of(many), maps=many.maps, virtual_coils=VirtualCoils(count=12))
    compression = problem.compression
    assert compression is not None
    seen = problem.A(many.truth)
    torch.testing.assert_close(seen[:12], compression(many.A(many.truth)), rtol=0, atol=1e-5)
    assert float(problem.A.gram(many.truth).norm()) <= float(many.truth.norm())


def test_coil_images_are_compressed_too(many: SimulatedScan) -> None:
    sample = sample_of(many)
    problem = coil_problem(sample, virtual_coils=VirtualCoils(count=8))
    assert problem.A.domain.shape == (8, 96, 80)
    assert problem.compression is not None
    torch.testing.assert_close(problem.y, problem.compression(sample.kspace))


def test_coarse_maps_of_few_lines_are_of_virtual_coils_too(many: SimulatedScan) -> None:
    sampled = torch.zeros(80, dtype=torch.bool)
    sampled[38:43] = True
    kspace = many.kspace * sampled
    compression = CoilCompression.of(kspace, sampled, VirtualCoils(count=10))
    estimate = estimate_maps(kspace, sampled, compression=compression)
    assert estimate.method == "low-resolution"
    length = torch.linalg.vector_norm(torch.cat((estimate.maps, silent_maps(estimate.maps)), 0), dim=0)
    torch.testing.assert_close(length, torch.ones(96, 80), rtol=0, atol=1e-4)
