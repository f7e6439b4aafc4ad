"""Whether the slices of a single coil are slices, and not the coils of one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from statistics import median

import torch
from torch import Tensor

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.findings import Finding, FindingName, Severity
from medrecon.scans.mri_energy import center_block

__all__ = ["FEWEST", "MOST", "coils_as_slices"]

FEWEST, MOST = 4, 8  # slices that are compared, spread over all
FINEST, COARSEST = 96, 48  # pixels of the images that are compared, along each axis
PATCH = 3  # of these pixels, over which a coil's sensitivity hardly changes and anatomy does
UNLIKE = 0.95  # how alike magnitudes of coils are at most, over the whole image
SMOOTH = 0.08  # of what sets two images apart over the whole, that is left within a patch: less is a smooth factor


def coils_as_slices(samples: Iterable[KSpaceSample], n_slices: int) -> Finding | None:
    """Tell that slices of one coil are one object seen through unlike, smooth sensitivities.

    How alike two images are, `|<a, b>| / (|a| |b|)`, is taken over the whole, of their magnitudes, and over patches. A smooth
    factor sets them apart over the whole and not within patches; other anatomy does both, and slices that are alike do neither.
    """
    images = [image for image in map(_image, samples) if image is not None]
    if len(images) < FEWEST or len({image.shape for image in images}) > 1:
        return None
    pairs = [_unlikeness(a, b) for a, b in combinations(images, 2)]
    whole, within = (sum(values) for values in zip(*pairs, strict=True))
    if median(whole for whole, _ in pairs) < 1 - UNLIKE or within > SMOOTH * whole:
        return None
    return Finding(
        FindingName.COILS_AS_SLICES,
        Severity.PROBLEM,
        f"{n_slices} slices of one coil seem to be {n_slices} coils of one slice: their images differ by a smooth factor alone "
        f"({100 * within / whole:.1f} % of their differences lie within patches of {PATCH} pixels); (slice, coil, ky, kx) is "
        "wanted: write numpy.moveaxis(kspace, 0, 1), or kspace[None]",
    )


def _image(sample: KSpaceSample) -> Tensor | None:
    """The image `(y, x)` of the middle of k-space, its energy 1; None where too little was acquired without a gap."""
    block = center_block(sample, -1)
    if block is None or min(block.shape[-2:]) < COARSEST:
        return None
    for axis in (-2, -1):
        n = min(block.shape[axis], FINEST)
        window = torch.hann_window(n)
        block = block.narrow(axis, block.shape[axis] // 2 - n // 2, n) * (window[:, None] if axis == -2 else window)
    image: Tensor = torch.fft.ifft2(block[0] / block.abs().max())
    image /= torch.linalg.vector_norm(image)
    return image


def _unlikeness(a: Tensor, b: Tensor) -> tuple[float, float]:
    """By how much two images of energy 1 are unlike: over the whole, of their magnitudes, and within patches; 0 if alike."""
    product = a * b.conj()
    whole = float((a.abs() * b.abs()).sum())
    energies = _over_patches(a.abs().square()) * _over_patches(b.abs().square())
    inner = torch.complex(_over_patches(product.real), _over_patches(product.imag)).abs()
    return 1 - whole, 1 - float(inner.sum() / energies.sqrt().sum())


def _over_patches(values: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(values[None], PATCH, 1)[0]
