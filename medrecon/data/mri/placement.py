"""Where the samples of a file lie in k-space: files may hold what was acquired alone, without zeros around it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.data.mri.fastmri_header import FastMRIHeader
from medrecon.data.mri.one_sided import off_center

__all__ = ["Placement", "is_partial", "placement_of"]

NEAR = 1  # samples that the center may lie off the middle, as conventions differ
ASTRAY = 2  # samples that the peak of the energy may lie off the center, and a sixteenth of all
_NAMES = "sample of the readout", "line"


@dataclass(frozen=True)
class Placement:
    """The size `(ky, kx)` of k-space with its center at `n // 2`, and where the first sample of a file lies in it."""

    shape: tuple[int, int]
    first: tuple[int, int] = (0, 0)

    def __call__(self, values: Tensor) -> Tensor:
        """Put `(..., ky, kx)` of a file among zeros; the same object where it is all of k-space."""
        if tuple(values.shape[-2:]) == self.shape:
            return values
        placed = values.new_zeros((*values.shape[:-2], *self.shape))
        (y, x), (ky, kx) = self.first, values.shape[-2:]
        placed[..., y : y + ky, x : x + kx] = values
        return placed


def placement_of(
    stored: tuple[int, int], header: FastMRIHeader | None, middle: Tensor | None
) -> tuple[Placement, tuple[str, ...]]:
    """Settle where samples of shape `stored` (ky, kx) lie: as the header says, unless the energy of the middle slice differs.

    A header speaks of the file's samples themselves where it counts as many as there are. Where none does, the energy tells whether
    a side of k-space was left out. The second value says what was contradicted, or told by the energy.
    """
    shape, first, notes = list(stored), [0, 0], []
    for axis, name in enumerate(_NAMES):
        stated = None if header is None else _stated_center(header, axis, stored[axis])
        if header is None or stated is None:
            found = None if middle is None or not _is_silent(header) else off_center(middle, axis - 2)
            if found is not None and found.is_one_sided:
                n = _whole(found.center, stored[axis], None if header is None else header.encoded_matrix[axis])
                shape[axis], first[axis] = n, n // 2 - found.center
                notes.append(
                    f"the energy of k-space peaks at {name} {found.center} of {stored[axis]}, and falls from there to the far end: "
                    f"what lies beyond the near one was not acquired, and is filled with zeros, {n} in all"
                )
            continue
        n, half = header.encoded_matrix[axis], stored[axis] // 2
        peak = None if middle is None else _peak(middle, axis - 2)
        center = stated
        if peak is not None and abs(peak - stated) > max(ASTRAY, stored[axis] // 16):
            center = peak if n > stored[axis] and 0 <= n // 2 - peak <= n - stored[axis] else half
            told = "the middle" if center == half else "the peak"
            notes.append(
                f"the header says that the center of k-space is {name} {stated} of {stored[axis]}, and the energy peaks at {peak}: "
                f"{told} is taken"
            )
        if abs(center - half) > NEAR:
            n = _whole(center, stored[axis], n)
            shape[axis], first[axis] = n, n // 2 - center
    return Placement((shape[0], shape[1]), (first[0], first[1])), tuple(notes)


def _whole(center: int, stored: int, encoded: int | None) -> int:
    """The samples of an axis with its center in the middle: as many as are encoded, where those stored fit in."""
    if encoded is not None and 0 <= encoded // 2 - center <= encoded - stored:
        return encoded
    return 2 * max(center, stored - center)


def _is_silent(header: FastMRIHeader | None) -> bool:
    """Whether nothing says which part of k-space was acquired."""
    return header is None or (header.limits is None and header.readout_limits is None)


def is_partial(stored: tuple[int, int], header: FastMRIHeader | None) -> bool:
    """Whether samples of this shape may be a part of k-space: a header says so, or nothing says which part they are."""
    return (
        header is None
        or _is_silent(header)
        or any(
            _stated_center(header, axis, stored[axis]) not in (None, stored[axis] // 2)
            or (_stated_center(header, axis, stored[axis]) is not None and header.encoded_matrix[axis] > stored[axis])
            for axis in (0, 1)
        )
    )


def _stated_center(header: FastMRIHeader, axis: int, available: int) -> int | None:
    """The sample at the center, where the header counts as many as are available."""
    limits = header.readout_limits if axis == 0 else header.limits
    if limits is None or limits.maximum - limits.minimum + 1 != available:
        return None
    center = limits.center - limits.minimum
    return center if 0 <= center < available else None


def _peak(kspace: Tensor, axis: int) -> int | None:
    """Where the energy of `(..., ky, kx)` peaks along an axis; None for a slice that says nothing."""
    if not bool(kspace.isfinite().all()) or not bool(kspace.any()):
        return None
    energy = torch.view_as_real(kspace / kspace.abs().max()).square().sum(-1)
    profile = energy.reshape(-1, *kspace.shape[-2:]).sum(0).sum(-1 if axis == -2 else -2)
    return int(profile.argmax())
