"""Lines of a scanner put where they lie in k-space: averages averaged, reversed ones flipped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrecon.data.mri.acquisitions import Acquisitions
from medrecon.data.mri.epi_correction import GhostCorrection
from medrecon.data.mri.raw_lines import LineGrid, Lines

__all__ = ["Slab", "assemble", "partitions_transformed", "read_lines"]


@dataclass(frozen=True, eq=False)
class Slab:
    """K-space of a slice, or of all partitions of a slab: complex64 `(partition, line, coil, ky)`, zero where not sampled.

    `sampled` is bool `(partition, line, ky)`.
    """

    kspace: Tensor
    sampled: Tensor

    def plane(self, index: int) -> tuple[Tensor, Tensor]:
        """One partition as `(coil, ky, kx)`, and which of its samples were acquired, `(ky, kx)`."""
        return self.kspace[index].permute(1, 2, 0).contiguous(), self.sampled[index].mT


def read_lines(acquisitions: Acquisitions, lines: Lines, n_coils: int, n_samples: int) -> NDArray[np.complex64]:
    """Read a few lines without phase encoding, `(line, coil, ky)`, reversed ones flipped."""
    read = np.zeros((len(lines.places), n_coils, n_samples), np.complex64)
    for k, (start, stop, samples) in enumerate(_placed(acquisitions, lines, n_samples)):
        read[k, :, start:stop] = samples
    return read


def assemble(
    acquisitions: Acquisitions, lines: Lines, grid: LineGrid, n_coils: int, correction: GhostCorrection | None
) -> Slab:
    """Read lines onto a grid; those that were measured several times are averaged, and reversed ones corrected.

    Raises
    ------
    InputError
        If one of them cannot be read.
    """
    nz, nx, ny = grid.shape
    kspace = np.zeros((nz, ny, n_coils, nx), np.complex64)
    turned = kspace if correction is None else np.zeros_like(kspace)
    sampled = np.zeros((nz, ny, nx), np.bool_)
    count = np.zeros((nz, ny), np.int64)
    whole = zip(lines.partition.tolist(), lines.line.tolist(), lines.reverse.tolist(), strict=True)
    for (z, y, reverse), (start, stop, samples) in zip(whole, _placed(acquisitions, lines, nx), strict=True):
        (turned if reverse else kspace)[z, y, :, start:stop] += samples
        sampled[z, y, start:stop] = True
        count[z, y] += 1
    made = torch.from_numpy(kspace)
    if correction is not None:
        made += correction(torch.from_numpy(turned))
    if (count > 1).any():
        made /= torch.from_numpy(count.clip(1))[..., None, None]
    return Slab(made, torch.from_numpy(sampled))


def partitions_transformed(slab: Slab, kept: int) -> Slab:
    """The slices of a slab by the centered inverse transform along its partitions, of which the middle ones are `kept`."""
    n = len(slab.kspace)
    planes = torch.fft.fftshift(torch.fft.ifft(torch.fft.ifftshift(slab.kspace, dim=0), dim=0, norm="ortho"), dim=0)
    first = n // 2 - kept // 2
    return Slab(planes[first : first + kept], slab.sampled.any(dim=0).expand(kept, -1, -1))


def _placed(
    acquisitions: Acquisitions, lines: Lines, n_samples: int
) -> Iterator[tuple[int, int, NDArray[np.complex64]]]:
    """Where the samples of each line start and stop on the grid, and those of them that lie on it, `(coil, sample)`."""
    facts = (lines.discarded.tolist(), lines.length.tolist(), lines.first.tolist(), lines.reverse.tolist())
    read = acquisitions.samples(lines.places)
    for samples, discarded, length, first, reverse in zip(read, *facts, strict=True):
        kept = samples[:, discarded : discarded + length]
        if reverse:
            kept = kept[:, ::-1]
        start = max(0, first)
        stop = max(start, min(n_samples, first + length))
        yield start, stop, kept[:, start - first : stop - first]
