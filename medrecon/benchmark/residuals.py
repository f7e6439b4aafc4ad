"""How far an image is from its measurements, relative to their noise: 1 for the true image."""

from __future__ import annotations

import math

from torch import Tensor

from medrecon.benchmark.inputs import CTInputs
from medrecon.operators import Mask, factor_of
from medrecon.problem import Problem

__all__ = ["ct_residual", "mri_residual"]


def mri_residual(x: Tensor, problem: Problem, sigma: float | None) -> tuple[float | None, str]:
    """`|A x - y| / (sigma sqrt(m))` over the m samples of all coils, sigma being that of complex noise."""
    if not sigma:
        return None, "the data hold no noise"
    if tuple(x.shape[-problem.A.domain.ndim :]) != problem.A.domain.shape or not x.is_complex():
        return None, "the image has no phase, so that its k-space is not known"
    mask = factor_of(problem.A, Mask, "benchmark").pattern
    m = int(mask.expand(problem.y.shape[-2:]).sum()) * math.prod(problem.y.shape[:-2])
    return float((problem.A(x) - problem.y).norm()) / (sigma * math.sqrt(m)), ""


def ct_residual(picture: Tensor, inputs: CTInputs) -> tuple[float | None, str]:
    """`|(A x - y) / sigma_i| / sqrt(m)` over the m rays that enough photons pass."""
    if inputs.variance is None:
        return None, "the photons per ray are not known, or there is no noise"
    counted = int(inputs.variance.isfinite().sum())
    if not counted:
        return None, "too few photons pass on every ray"
    return math.sqrt(
        float(((inputs.A(picture) - inputs.sample.sinogram).square() / inputs.variance).sum()) / counted
    ), ""
