"""A slice of k-space as the problem that a method solves."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from medrecon.calibration import VirtualCoils
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.operators import Crop
from medrecon.problem import Problem, coil_problem, sense_problem
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import Grappa, RootSumOfSquares
from medrecon.weights.learned import LearnedReconstructor, Weights

__all__ = ["pose", "scaled", "takes_coil_images"]


def pose(
    sample: KSpaceSample,
    reconstruct: Reconstructor,
    device: torch.device | str = "cpu",
    noise_covariance: Tensor | None = None,
    virtual_coils: VirtualCoils | None = None,
) -> Problem:
    """The problem of a slice that the method solves: of coil images, or of one image seen through coil maps.

    Coils are weighted by `noise_covariance`, `(coil, coil)`, if there is one, and compressed by the rule `virtual_coils`.

    Raises
    ------
    InputError
        If it takes coil maps and there are no calibration lines to estimate them from.
    """
    if isinstance(reconstruct, LearnedReconstructor):
        return _pose_as_trained(sample, reconstruct.weights, device, noise_covariance, virtual_coils)
    if takes_coil_images(reconstruct):
        return coil_problem(sample, noise_covariance=noise_covariance, virtual_coils=virtual_coils, device=device)
    return sense_problem(sample, noise_covariance=noise_covariance, virtual_coils=virtual_coils, device=device)


def takes_coil_images(reconstruct: Reconstructor) -> bool:
    """Whether the method needs no coil maps."""
    return isinstance(reconstruct, RootSumOfSquares | Grappa) or (
        isinstance(reconstruct, LearnedReconstructor) and reconstruct.weights.family == "coils"
    )


def scaled(sample: KSpaceSample) -> tuple[KSpaceSample, float]:
    """Divide a sample by a power of two, so that its largest value is near 1; return this number, too.

    That is exact, and keeps what is computed of it within the range of float32, whatever units the scanner used.
    """
    peak = float(torch.view_as_real(sample.kspace).abs().max())
    scale = 2.0 ** max(-120, min(math.frexp(peak)[1], 120))
    calibration = None if sample.calibration is None else sample.calibration / scale
    return replace(sample, kspace=sample.kspace / scale, calibration=calibration), scale


def _pose_as_trained(
    sample: KSpaceSample,
    weights: Weights,
    device: torch.device | str,
    noise_covariance: Tensor | None,
    virtual_coils: VirtualCoils | None,
) -> Problem:
    if weights.family == "sense":
        return sense_problem(sample, noise_covariance=noise_covariance, virtual_coils=virtual_coils, device=device)
    taken = sample
    if weights.inference.keep_oversampling:
        taken = replace(sample, matrix=(sample.kspace.shape[-2], sample.matrix[1]))
    problem = coil_problem(taken, noise_covariance=noise_covariance, virtual_coils=virtual_coils, device=device)
    problem = replace(problem, shape=sample.matrix)
    if not weights.inference.crop_first:
        return problem
    center = Crop(problem.A.domain, (problem.A.domain.shape[0], *sample.matrix))
    return replace(problem, A=problem.A @ center.H)
