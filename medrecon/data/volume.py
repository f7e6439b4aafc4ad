"""A CT volume in Hounsfield units, whatever kind of file it came from, laid out the one way."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["LOWEST", "CTVolume", "lay_out"]

#: Hounsfield units below which a scanner's values are padding, and clipped.
LOWEST = -1024.0
_ORDINARY = (-500.0, 100.0)  # a body in air has values below the first and above the second
_OBLIQUE = 1.0  # degrees
_LONGEST_STEP = 1e4  # mm, and one over it


@dataclass(frozen=True, eq=False)
class CTVolume:
    """A stack of axial CT slices.

    Parameters
    ----------
    hounsfield : Tensor
        float32 `(z, y, x)`, at least -1024: z grows towards the head, y to the back (down in a picture), x to the
        patient's left (right in a picture), as DICOM's axial slices are shown.
    spacing : tuple
        `(dz, dy, dx)` in millimeters.
    notes : tuple of str
        What a user should know of how the file was read.
    """

    hounsfield: Tensor
    spacing: tuple[float, float, float]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.hounsfield.shape[0]


def lay_out(
    values: NDArray[np.float32], steps: NDArray[np.float64], notes: tuple[str, ...] = (), padded: int = 0
) -> CTVolume:
    """Turn Hounsfield units on any three axes to `(z, y, x)` by swapping and flipping axes, and clip what is padding.

    Parameters
    ----------
    values
        Three axes in any order and direction. May be overwritten.
    steps
        `(3, 3)`: row i is the step along axis i in millimeters to the patient's left, back and head (DICOM's LPS).
    notes
        What is known already.
    padded
        Number of values that were padding and are -1024 already.

    Raises
    ------
    ValueError
        If the three steps do not span space, or are not lengths of a scanner.
    """
    lengths = np.zeros(3)
    if (np.abs(steps) <= _LONGEST_STEP).all():  # NaN is not
        lengths = np.linalg.norm(steps, axis=1)
    if not (lengths >= 1 / _LONGEST_STEP).all() or abs(np.linalg.det(steps)) < 1e-3 * lengths.prod():
        rounded = [[float(f"{number:.4g}") for number in step] for step in steps]
        raise ValueError(f"its axes do not span space: their steps are {rounded} mm")
    cosines = steps / lengths[:, None]
    order = max(
        itertools.permutations(range(3)), key=lambda axes: sum(abs(cosines[a, 2 - i]) for i, a in enumerate(axes))
    )
    backward = tuple(i for i, axis in enumerate(order) if cosines[axis, 2 - i] < 0)
    values = np.flip(values.transpose(order), backward)
    angle = max(math.degrees(math.acos(min(1.0, abs(cosines[axis, 2 - i])))) for i, axis in enumerate(order))
    if angle > _OBLIQUE:
        notes = (*notes, f"the slices are oblique by {angle:.0f} degrees, and are taken as axial")
    spacing = (float(lengths[order[0]]), float(lengths[order[1]]), float(lengths[order[2]]))
    hounsfield = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    return CTVolume(hounsfield, spacing, (*notes, *_settle(hounsfield, padded)))


def _settle(hounsfield: Tensor, padded: int) -> tuple[str, ...]:
    """Clip padding in place, and say so; and say where values are unlike Hounsfield units."""
    notes = []
    low, high = float(hounsfield.min()), float(hounsfield.max())
    if low < LOWEST:
        padded += int((hounsfield < LOWEST).sum())
        hounsfield.clamp_(min=LOWEST)
    if padded:
        share = 100 * padded / hounsfield.numel()
        lowest = f", down to {low:g} HU," if low < LOWEST else ""
        notes.append(f"{padded} values ({share:.1f} %) of padding{lowest} were set to {LOWEST:g} HU")
    if low > _ORDINARY[0] or high < _ORDINARY[1]:
        notes.append(
            f"values from {low:g} to {high:g} are unlike Hounsfield units, in which air is -1000 and bone above 300"
        )
    return tuple(notes)
