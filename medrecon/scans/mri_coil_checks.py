"""Whether all coils see one object, each through a sensitivity of its own that changes slowly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.findings import Finding, KSpaceFinding, Severity
from medrecon.scans.mri_energy import center_block
from medrecon.words import listed

__all__ = ["coils_apart"]

FINEST, COARSEST = 48, 24  # samples of the middle of k-space that are compared, along each axis
PATCH = 3  # pixels, over which a sensitivity hardly changes
ROUNDS = 3  # of the power method, and of finding out which coils belong together
APART = 0.005  # of a coil's energy, that goes with no other coil
FAR = 3  # samples, or pixels of the images, by which a coil is moved that is not sound
BETTER = 0.5  # of that remains once what was done to coils is undone
TINY = 1e-30

MIRRORED = {"mirrored along ky": (-2,), "mirrored along kx": (-1,), "turned by half a turn": (-2, -1)}


class _Undone(NamedTuple):
    """Coils that go with the others once something is undone: the share of their energy that does not, before and after."""

    coils: list[int]
    way: str
    was: float
    now: float


def coils_apart(sample: KSpaceSample) -> Finding | None:
    """Tell of coils whose images go with those of the others once they are mirrored, or moved, or their k-space is.

    Within a patch of a few pixels all coils see the same but for a factor each: their values are a matrix of rank one (Uecker et
    al., Magn Reson Med 71:990, 2014). What is left of a coil beyond that is told as a share of its energy. For a sound coil
    nothing that is tried makes it less.
    """
    block = _middle(sample)
    if block is None:
        return None
    known = _patches(block)
    before = _left(known, _common(known))
    if float(before.max()) < APART:
        return None
    found = [one for way, other in _ways(block) if (one := _undone(known, before, _patches(other), way))]
    return _told(min(found, key=lambda one: one.now / one.was)) if found else None


def _undone(known: Tensor, before: Tensor, tried: Tensor, way: str) -> _Undone | None:
    """Which coils go with the others if they are taken as they were tried, the fewer of both kinds; None if none clearly do."""
    off = _apart(known, tried)
    few = off if 2 * int(off.sum()) <= len(off) else ~off
    if not bool(few.any()):
        return None
    left = _left(torch.where(off[:, None, None], tried, known), None)
    was, now = float(before[few].mean()), float(left[few].mean())
    is_clear = was > APART and now < BETTER * was
    return _Undone(few.nonzero().flatten().tolist(), way, was, now) if is_clear else None


def _told(one: _Undone) -> Finding:
    return Finding(
        KSpaceFinding.COILS_APART,
        Severity.PROBLEM,
        f"the images of coils {listed(one.coils)} are {one.way} against those of the others: {100 * one.was:.2g} % of them go with "
        f"no other coil as they are, {100 * one.now:.2g} % once that is undone; coils would be added up out of place: undo it, or "
        "leave them out",
    )


def _apart(known: Tensor, tried: Tensor) -> Tensor:
    """Which coils are to be taken as they were tried, bool `(coil,)`: first by one coil, then by all together."""
    first = known[:1]
    off = _likeness(tried, first) > _likeness(known, first)
    for _ in range(ROUNDS):
        if not bool(off.any()):
            break
        common = _common(torch.where(off[:, None, None], tried, known))
        off = _left(tried, common) < _left(known, common)
    return off


def _likeness(patches: Tensor, first: Tensor) -> Tensor:
    return (patches * first.conj()).sum(-1).abs().sum(-1)


def _common(patches: Tensor) -> Tensor:
    """What coils see of each patch but for a factor, of length one: `(patch, pixel)`, by the power method."""
    by_patch = patches.movedim(0, 1)  # (patch, coil, pixel)
    gram = by_patch.mH @ by_patch
    brightest = by_patch.abs().square().sum(-1).argmax(1)
    common = by_patch[torch.arange(len(by_patch)), brightest].conj()[..., None]
    for _ in range(ROUNDS):
        common = gram @ common
        common = common / torch.linalg.vector_norm(common, dim=1, keepdim=True).clamp_min(TINY)
    return common[..., 0].conj()


def _left(patches: Tensor, common: Tensor | None) -> Tensor:
    """The share of the energy of each coil of `(coil, patch, pixel)` that is no multiple of what coils have in common."""
    common = _common(patches) if common is None else common
    energy = patches.abs().square().sum((-2, -1))
    within = (patches * common.conj()).sum(-1).abs().square().sum(-1)
    return 1 - within / energy.clamp_min(TINY)


def _ways(block: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What may have been done to coils of k-space, undone for each of them."""
    yield "conjugated, which mirrors them,", block.conj()
    for way, axes in MIRRORED.items():
        yield way, block.flip(axes)
    yield from (("shifted in k-space", rolled) for rolled in _rolled(block))
    yield from (("shifted", moved) for moved in _moved(block))


def _rolled(block: Tensor) -> Iterator[Tensor]:
    """K-space of each coil with its peak where that of the others lies."""
    energy = torch.nn.functional.avg_pool2d(block.abs().square()[None], 3, 1, 1)[0]
    places = _peaks(energy)
    off = _far(places - places.median(0).values)
    if bool(off.any()):
        yield torch.stack([coil.roll((-int(y), -int(x)), (-2, -1)) for coil, (y, x) in zip(block, off, strict=True)])


def _moved(block: Tensor) -> Iterator[Tensor]:
    """K-space of each coil with its image moved to where it resembles that of all others most (phase correlation)."""
    images = torch.fft.ifft2(block).abs()
    spectra = torch.fft.fft2(images), torch.fft.fft2(images.square().sum(0).sqrt())
    cross = spectra[0] * spectra[1].conj()
    sizes = torch.tensor(block.shape[-2:])
    places = _peaks(torch.fft.ifft2(cross / cross.abs().clamp_min(TINY)).real)
    off = _far((places + sizes // 2) % sizes - sizes // 2)
    if bool(off.any()):
        turns = [torch.fft.fftshift(torch.fft.fftfreq(n)) for n in block.shape[-2:]]
        phase = off[:, :1, None] * turns[0][:, None] + off[:, 1:, None] * turns[1]
        yield block * torch.polar(torch.ones_like(phase), 2 * torch.pi * phase)


def _far(off: Tensor) -> Tensor:
    """Distances `(coil, 2)`, none where they are small, as those between sound coils may be."""
    return torch.where(off.abs().amax(1, keepdim=True) < FAR, 0, off)


def _peaks(values: Tensor) -> Tensor:
    """The places `(coil, 2)` of the largest values of `(coil, y, x)`."""
    flat = values.flatten(1).argmax(1)
    return torch.stack([flat // values.shape[-1], flat % values.shape[-1]], 1)


def _middle(sample: KSpaceSample) -> Tensor | None:
    """The middle of k-space of all coils, of magnitude one at most; None of one coil, or of too few lines."""
    block = center_block(sample, -1)
    if block is None or len(block) < 2 or min(block.shape[-2:]) < COARSEST:
        return None
    for axis in (-2, -1):
        n = block.shape[axis]
        kept = min(n, FINEST)
        block = block.narrow(axis, n // 2 - kept // 2, kept)
    peaks = block.abs().amax((-2, -1), keepdim=True)
    return block / peaks if bool((peaks > 0).all()) else None


def _patches(block: Tensor) -> Tensor:
    """The image of each coil, its energy one, in patches: `(coil, patch, pixel)`."""
    windows = [torch.hann_window(n) for n in block.shape[-2:]]
    images = torch.fft.ifft2(block * windows[0][:, None] * windows[1])
    images = images / torch.linalg.vector_norm(images, dim=(-2, -1), keepdim=True).clamp_min(TINY)
    n, (y, x) = len(images), (size // PATCH for size in images.shape[-2:])
    cut = images[:, : y * PATCH, : x * PATCH].reshape(n, y, PATCH, x, PATCH)
    patches: Tensor = cut.movedim(2, 3).reshape(n, y * x, PATCH**2)
    return patches
