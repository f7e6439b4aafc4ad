"""Photon noise: its distribution against theory, its floor, its seed."""

import math

import pytest
import torch

from medrecon.data.ct.attenuation import MU_MAX
from medrecon.data.ct.photons import COUNT_FLOOR, LODOPAB_PHOTONS, count_photons, largest_line_integral


@pytest.mark.parametrize(("line", "photons"), [(0.0, 4096.0), (2.0, 4096.0), (4.0, 1e5), (1.0, 3e7)])
def test_counts_have_the_mean_and_variance_of_poisson(line: float, photons: float, generator: torch.Generator) -> None:
    n = 200_000
    noisy = count_photons(torch.full((n,), line, dtype=torch.float64), photons, generator)
    counts, rate = photons * torch.exp(-noisy), photons * math.exp(-line)
    torch.testing.assert_close(counts, counts.round(), atol=1e-6, rtol=1e-9)
    assert float(counts.mean()) == pytest.approx(rate, abs=5 * math.sqrt(rate / n))
    assert float(counts.var()) == pytest.approx(rate, rel=5 * math.sqrt(2 / n))


def test_the_noise_of_a_line_integral_has_variance_exp_y_over_n0(generator: torch.Generator) -> None:
    line, photons = 1.5, 1e5
    noisy = count_photons(torch.full((200_000,), line, dtype=torch.float64), photons, generator)
    variance = math.exp(line) / photons
    assert float(noisy.var()) == pytest.approx(variance, rel=0.02)
    assert float(noisy.mean()) == pytest.approx(line + variance / 2, abs=5 * math.sqrt(variance / 200_000))


def test_a_ray_that_nothing_passes_has_the_largest_value_of_lodopab(generator: torch.Generator) -> None:
    blocked = count_photons(torch.tensor([60.0, math.inf]), LODOPAB_PHOTONS, generator)
    expected = largest_line_integral(LODOPAB_PHOTONS)
    assert expected == -math.log(COUNT_FLOOR / LODOPAB_PHOTONS)
    assert expected / (1000 * MU_MAX) == pytest.approx(0.130537569, abs=5e-10)
    torch.testing.assert_close(blocked, torch.full((2,), expected), rtol=1e-7, atol=0)


def test_the_share_of_empty_rays_is_that_of_theory(generator: torch.Generator) -> None:
    rate, n = 0.7, 100_000
    noisy = count_photons(torch.full((n,), math.log(4096 / rate)), 4096, generator)
    empty = float((noisy > math.log(4096 / 0.5)).float().mean())
    assert empty == pytest.approx(math.exp(-rate), abs=5 * math.sqrt(0.25 / n))


def test_the_seed_alone_decides(generator: torch.Generator) -> None:
    clean = 3 * torch.rand(40, 30, generator=generator)
    first, again = (count_photons(clean, 4096, torch.Generator().manual_seed(7)) for _ in range(2))
    other = count_photons(clean, 4096, torch.Generator().manual_seed(8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.dtype == torch.float32


@pytest.mark.parametrize("wrong", [math.nan, -math.inf])
def test_what_is_no_line_integral_is_refused(wrong: float, generator: torch.Generator) -> None:
    with pytest.raises(ValueError, match="got 1 that are NaN or minus infinity"):
        count_photons(torch.tensor([1.0, wrong]), 4096, generator)


@pytest.mark.parametrize("photons", [0.0, -1.0, math.inf, math.nan])
def test_photons_are_above_zero(photons: float, generator: torch.Generator) -> None:
    with pytest.raises(ValueError, match="photons per ray above zero"):
        count_photons(torch.ones(2), photons, generator)
    with pytest.raises(ValueError, match="photons per ray above zero"):
        largest_line_integral(photons)


def test_complex_values_are_refused(generator: torch.Generator) -> None:
    with pytest.raises(ValueError, match=r"real line integrals, got torch\.complex64"):
        count_photons(torch.ones(2, dtype=torch.complex64), 4096, generator)
