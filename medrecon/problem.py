"""Where data meet physics: a sample of a scan becomes `y = A x + noise`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medrecon.calibration import estimate_maps
from medrecon.data.fastmri import KSpaceSample
from medrecon.data.masks import SamplingMask
from medrecon.errors import InputError
from medrecon.operators import Crop, Fourier, LinearOperator, Mask, sense
from medrecon.spaces import image_space, kspace_space

__all__ = ["Problem", "coil_problem", "full_reconstruction", "remove_oversampling", "sense_problem", "undersample"]


@dataclass(frozen=True, eq=False)
class Problem:
    """Measurements `y` of an image through `A`, and the image to be found where it is known.

    Parameters
    ----------
    y
        measurements, of the range of `A`; a leading axis of batch is allowed.
    A
        the operator of the scan.
    shape
        `(y, x)` of the picture: the centre of what a reconstructor gives.
    target
        real `(..., *shape)`, or None.
    remarks
        what a user should know of how the problem was made.
    maps
        where the coil maps come from: "espirit", "low-resolution", "given", "uniform" (a single coil) or "none".
    """

    y: Tensor
    A: LinearOperator
    shape: tuple[int, int]
    target: Tensor | None = None
    remarks: tuple[str, ...] = ()
    maps: str = "none"

    def picture(self, x: Tensor) -> Tensor:
        """The magnitude of an image `(..., y, x)`, its centre cut out to `shape`."""
        space = image_space(tuple(x.shape[-2:]))
        return Crop(space, self.shape)._forward(x.abs() if x.is_complex() else x)


def undersample(sample: KSpaceSample, mask: SamplingMask) -> KSpaceSample:
    """The sample as if only what `mask` holds had been acquired.

    Raises
    ------
    InputError
        if the mask has another shape than the k-space, or leaves nothing.
    """
    kept = mask.sampled
    shape = tuple(sample.kspace.shape[-2:])
    if tuple(kept.shape) not in (shape, shape[1:]):
        raise InputError(f"{sample.name}: the mask is {tuple(kept.shape)}, but k-space is (ky, kx) = {shape}")
    sampled = kept & sample.sampled
    if not bool(sampled.any()):
        raise InputError(f"{sample.name}: the mask leaves no sample of k-space; take a lower acceleration")
    return replace(sample, kspace=sample.kspace * sampled, sampled=sampled)


def remove_oversampling(sample: KSpaceSample) -> KSpaceSample:
    """Keep the rows of the image that will be shown, where whole readouts were acquired.

    The readout is the first axis; fully sampled, its rows are independent of each other, so that nothing is lost. A sample with
    points in place of lines, or without oversampling, is given back as it is: draw masks of points for what this returns.
    """
    n_rows, rows = sample.kspace.shape[-2], sample.matrix[0]
    if sample.sampled.ndim != 1 or n_rows <= rows:
        return sample
    space = kspace_space(sample.kspace.shape[0], tuple(sample.kspace.shape[-2:]))
    image = replace(space, axes=("coil", "y", "x"))
    hybrid = Fourier(image, axes=("y",)).H(sample.kspace)
    cropped = replace(image, shape=(*image.shape[:1], rows, image.shape[2]))
    kept = Crop(image, cropped.shape)(hybrid)
    kspace = Fourier(cropped, axes=("y",))(kept)
    return replace(sample, kspace=kspace, oversampling=max(1.0, sample.oversampling * rows / n_rows))


def full_reconstruction(sample: KSpaceSample) -> Tensor:
    """The root-sum-of-squares image of all coils, real `matrix`: the target of fastMRI for a fully sampled scan."""
    problem = coil_problem(sample)
    return problem.picture(torch.linalg.vector_norm(problem.A.H(problem.y), dim=-3))


def coil_problem(sample: KSpaceSample, *, device: torch.device | str = "cpu") -> Problem:
    """`y = Mask Fourier x` for the images `x` of all coils, `(coil, y, x)`; needs no coil maps."""
    sample = remove_oversampling(sample)
    n_coils, *shape = sample.kspace.shape
    image = image_space(tuple(shape))
    fourier = Fourier(replace(image, axes=("coil", *image.axes), shape=(n_coils, *shape)))
    A = Mask(sample.sampled, fourier.range) @ fourier
    return Problem(sample.kspace.to(device), A.to(device), sample.matrix, sample.target)


def sense_problem(sample: KSpaceSample, *, maps: Tensor | None = None, device: torch.device | str = "cpu") -> Problem:
    """`y = Mask Fourier CoilMaps x` for one image `x`, `(y, x)`.

    Without `maps`, complex `(coil, y, x)`, they are estimated from the calibration lines; a single coil sees every pixel alike.

    Raises
    ------
    InputError
        if there are no calibration lines to estimate the maps from.
    """
    sample = remove_oversampling(sample)
    kspace = sample.kspace.to(device)
    remarks: tuple[str, ...] = ()
    origin = "given"
    if maps is None and kspace.shape[0] == 1:
        maps, origin = torch.ones_like(kspace), "uniform"
    if maps is None:
        try:
            estimate = estimate_maps(kspace, sample.sampled.to(device))
        except InputError as error:
            raise InputError(f"{sample.name}, slice {sample.slice_index}: {error}") from None
        maps, origin = estimate.maps, estimate.method
        remarks = () if estimate.message is None else (estimate.message,)
    A = sense(sample.sampled.to(device), maps.to(device))
    return Problem(kspace, A, sample.matrix, sample.target, remarks, origin)
