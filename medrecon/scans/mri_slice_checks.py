"""Whether slices of k-space are slices and its coils are coils, and not the one in place of the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.findings import Finding, KSpaceFinding, Severity
from medrecon.scans.mri_energy import center_block

__all__ = ["coils_as_slices", "few_of"]

FEWEST = 4  # slices of a single coil that are compared at least
MOST, MOST_OF_BOTH = (
    8,
    4,
)  # slices of a single coil, slices and coils of several, that are compared at most, spread over all
FINEST, COARSEST = 96, 48  # pixels of the images that are compared, along each axis
PATCH = 3  # of these pixels, over which a coil's sensitivity hardly changes and anatomy does
UNLIKE = 0.95  # how alike magnitudes of coils are at most, over the whole image
SMOOTH = 0.08  # of what sets two images apart over the whole, that is left within a patch: less is a smooth factor
CLEARER = 1.5  # times as much is left between slices as between coils, where both are there


class _Apart(NamedTuple):
    """What sets images of a set apart, 0 where all are alike.

    `whole` by the magnitudes over the whole, for the median pair; `share` of it that is left within patches, over all pairs.
    """

    whole: float
    share: float


def few_of(n_slices: int, n_coils: int) -> Sequence[int]:
    """The slices of a scan that are to be compared, spread over all; none where they are too few to say anything."""
    few = min(n_slices, MOST if n_coils == 1 else MOST_OF_BOTH)
    return _spread(n_slices, few) if few >= (FEWEST if n_coils == 1 else 2) else ()


def coils_as_slices(samples: Iterable[KSpaceSample], shape: Sequence[int]) -> Finding | None:
    """Tell that slices of k-space, `(slice, coil, ...)`, are one object seen through unlike, smooth sensitivities: coils.

    How alike two images are, `|<a, b>| / (|a| |b|)`, is taken over the whole, of their magnitudes, and over patches. A smooth
    factor sets them apart over the whole and not within patches; other anatomy does both, and slices that are alike do neither.
    Of several coils, what was taken for these must be set apart as anatomy is.
    """
    n_slices, n_coils = shape[:2]
    images = list(map(_images, samples))  # which holds no sample while the next one is read
    known = [image for image in images if image is not None]
    if len(known) < (FEWEST if n_coils == 1 else 2) or len({image.shape for image in known}) > 1:
        return None
    slices = _apart([(a[k], b[k]) for a, b in combinations(known, 2) for k in range(len(a))])
    if slices.whole < 1 - UNLIKE or slices.share > SMOOTH:
        return None
    if n_coils > 1:
        coils = _apart([pair for image in known for pair in combinations(image, 2)])
        if coils.share < max(SMOOTH, CLEARER * slices.share):
            return None
        seen = f"; between its {n_coils} coils {100 * coils.share:.0f} % do, as between slices"
        cure = "write numpy.swapaxes(kspace, 0, 1)"
    else:
        seen, cure = "", "write numpy.moveaxis(kspace, 0, 1), or kspace[None]"
    place = "one coil" if n_coils == 1 else f"{n_coils} coils"
    of = "one slice" if n_coils == 1 else f"{n_coils} slices"
    return Finding(
        KSpaceFinding.COILS_AS_SLICES,
        Severity.PROBLEM,
        f"{n_slices} slices of {place} seem to be {n_slices} coils of {of}: their images differ by a smooth factor alone "
        f"({100 * slices.share:.1f} % of their differences lie within patches of {PATCH} pixels{seen}); (slice, coil, ky, kx) is "
        f"wanted: {cure}",
    )


def _spread(n: int, few: int) -> list[int]:
    return [place * (n - 1) // max(few - 1, 1) for place in range(few)]


def _images(sample: KSpaceSample) -> Tensor | None:
    """Images `(coil, y, x)` of the middle of k-space of a few coils, the energy of each 1; None where too little was acquired."""
    block = center_block(sample, -1)
    if block is None or min(block.shape[-2:]) < COARSEST:
        return None
    block = block[_spread(len(block), min(len(block), MOST_OF_BOTH))]
    for axis in (-2, -1):
        n = min(block.shape[axis], FINEST)
        window = torch.hann_window(n)
        block = block.narrow(axis, block.shape[axis] // 2 - n // 2, n) * (window[:, None] if axis == -2 else window)
    peaks = block.abs().amax((-2, -1), keepdim=True)
    if not bool((peaks > 0).all()):
        return None
    images: Tensor = torch.fft.ifft2(block / peaks)
    images /= torch.linalg.vector_norm(images, dim=(-2, -1), keepdim=True)
    return images


def _apart(pairs: Sequence[tuple[Tensor, Tensor]]) -> _Apart:
    unlike = [_unlikeness(a, b) for a, b in pairs]
    whole, within = (sum(values) for values in zip(*unlike, strict=True))
    return _Apart(median(one for one, _ in unlike), within / whole if whole else 1.0)


def _unlikeness(a: Tensor, b: Tensor) -> tuple[float, float]:
    """By how much two images of energy 1 are unlike: over the whole, of their magnitudes, and within patches; 0 if alike."""
    product = a * b.conj()
    whole = float((a.abs() * b.abs()).sum())
    energies = _over_patches(a.abs().square()) * _over_patches(b.abs().square())
    inner = torch.complex(_over_patches(product.real), _over_patches(product.imag)).abs()
    return 1 - whole, 1 - float(inner.sum() / energies.sqrt().sum())


def _over_patches(values: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(values[None], PATCH, 1)[0]
