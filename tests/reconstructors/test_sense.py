"""SENSE is drawn to the zero-filled image by noise, and to nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medrecon.data.mri.noise import add_noise
from medrecon.operators import LinearOperator, sense
from medrecon.problem import sense_problem
from medrecon.reconstructors import Sense, ZeroFilled
from tests.kspace_files import wrapped_sample
from tests.problems import disks, maps

_SHAPE = (32, 36)


def _scan(sampled: Tensor, snr: float) -> tuple[Tensor, LinearOperator]:
    A = sense(sampled, maps(6, _SHAPE))
    return add_noise(A(disks(_SHAPE)[0].to(torch.complex64)), snr, torch.Generator().manual_seed(0)) * sampled, A


@pytest.mark.parametrize("weight", [0.0, 3.0, 1e4])
def test_a_full_scan_keeps_its_brightness_whatever_the_weight(weight: float) -> None:
    y, A = _scan(torch.ones(36, dtype=torch.bool), 4.0)
    full = ZeroFilled()(y, A)
    torch.testing.assert_close(Sense(weight=weight)(y, A), full, rtol=0, atol=1e-4 * float(full.abs().max()))


def test_a_large_weight_gives_the_zero_filled_image_and_plain_gives_a_dark_one() -> None:
    y, A = _scan(torch.arange(36) % 2 == 0, 10.0)
    zero_filled, method = ZeroFilled()(y, A), Sense(weight=1e6)
    torch.testing.assert_close(method(y, A), zero_filled, rtol=0, atol=1e-3 * float(zero_filled.abs().max()))
    assert float(method.plain(y, A).abs().max()) < 1e-2 * float(zero_filled.abs().max())


@pytest.mark.parametrize("snr", [15.0, 30.0])
def test_a_noisy_scan_is_no_worse_than_zero_filling(snr: float) -> None:
    """By the scan without noise; a ridge that does not grow with noise does less."""
    sample, clean = wrapped_sample(0.85, snr=snr), wrapped_sample(0.85, snr=1e6).target
    assert clean is not None
    problem = sense_problem(sample)
    errors = [
        float((problem.display_image(x) - clean).norm())
        for x in (
            Sense()(problem.y, problem.A),
            ZeroFilled()(problem.y, problem.A),
            Sense().plain(problem.y, problem.A),
        )
    ]
    assert errors[0] < min(errors[1:]), errors
