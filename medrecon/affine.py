"""Where the pixels of images lie in the patient: indices (x, y, z) to millimeters to the patient's left, back and head (LPS)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["IDENTITY", "LARGEST", "Affine", "Vector"]

Vector = tuple[float, float, float]
#: The directions left, back and head: what is taken where nothing is stated.
IDENTITY: tuple[Vector, Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
#: Millimeters that no place in a scanner exceeds.
LARGEST = 1e6
_SMALLEST = 1e-6  # mm of a step, and of the volume that three unit steps span
_UNIT = 1e-2  # by which a direction may differ from the length 1


@dataclass(frozen=True)
class Affine:
    """`world = x X + y Y + z Z + origin`, of the indices of a pixel, in millimeters to the patient's left, back and head.

    Axes may be left-handed, as those of scanners are, and need not be perpendicular.

    >>> Affine((2.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 5.0), (-9.0, -9.0, 40.0))(1, 2, 3)
    (-7.0, -5.0, 55.0)

    Parameters
    ----------
    x, y, z
        steps from one pixel to the next along each axis.
    origin
        the center of pixel (0, 0, 0).

    Raises
    ------
    ValueError
        If a number is not finite or beyond any scanner, or the steps do not span space.
    """

    x: Vector
    y: Vector
    z: Vector
    origin: Vector

    def __post_init__(self) -> None:
        numbers = self.matrix
        if not (np.abs(numbers) <= LARGEST).all():
            raise ValueError(f"Affine takes steps and an origin up to {LARGEST:g} mm, got {numbers[:3].tolist()}")
        lengths = self.spacing
        if min(lengths) < _SMALLEST or abs(np.linalg.det(numbers[:3, :3] / lengths)) < _SMALLEST:
            raise ValueError(f"Affine takes three steps that span space, got {self.x}, {self.y} and {self.z} mm")

    @classmethod
    def centered(
        cls, position: Vector, directions: Sequence[Vector], *, spacing: Sequence[float], shape: Sequence[int]
    ) -> Affine:
        """The grid of a centered Fourier transform: `position` is the place of the pixel with the index n // 2 on each axis.

        >>> Affine.centered((0.0, 0.0, 7.0), IDENTITY, spacing=(1.0, 1.0, 5.0), shape=(4, 3, 1)).origin
        (-2.0, -1.0, 7.0)

        Parameters
        ----------
        position
            of the middle in millimeters.
        directions
            of x, y and z, of length 1; they may be left-handed.
        spacing, shape
            millimeters from pixel to pixel, and pixels, along x, y and z.

        Raises
        ------
        ValueError
            If a direction is not of length 1, or as above.
        """
        for direction in directions:
            length = math.hypot(*direction)
            if not abs(length - 1) <= _UNIT:
                raise ValueError(f"Affine.centered takes directions of length 1, got {direction} of {length:g}")
        steps = np.asarray(directions, dtype=np.float64) * np.asarray(spacing, dtype=np.float64)[:, None]
        origin = np.asarray(position, dtype=np.float64) - np.asarray([n // 2 for n in shape]) @ steps
        return cls.of(np.vstack([steps, origin]).T)

    @classmethod
    def of(cls, matrix: NDArray[np.floating]) -> Affine:
        """Take the upper `(3, 4)` of a matrix, whose columns are the steps and the origin."""
        columns = np.asarray(matrix, dtype=np.float64)[:3].T + 0.0  # no -0
        x, y, z, origin = (cast(Vector, tuple(column.tolist())) for column in columns)
        return cls(x, y, z, origin)

    @classmethod
    def of_ras(cls, matrix: NDArray[np.floating]) -> Affine:
        """Take a matrix to millimeters to the right, front and head, as NIfTI's."""
        return cls.of(np.diag([-1.0, -1.0, 1.0]) @ np.asarray(matrix, dtype=np.float64)[:3])

    @property
    def matrix(self) -> NDArray[np.float64]:
        """`(4, 4)`: `(x, y, z, 1)` to millimeters (LPS)."""
        matrix = np.eye(4)
        matrix[:3] = np.array([self.x, self.y, self.z, self.origin]).T
        return matrix

    @property
    def ras(self) -> NDArray[np.float64]:
        """`(4, 4)`: `(x, y, z, 1)` to millimeters to the right, front and head, as NIfTI has it."""
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.matrix

    @property
    def spacing(self) -> Vector:
        """Millimeters from pixel to pixel along x, y and z."""
        return math.hypot(*self.x), math.hypot(*self.y), math.hypot(*self.z)

    @property
    def directions(self) -> tuple[Vector, Vector, Vector]:
        """Unit vectors of the three steps."""
        x, y, z = (cast(Vector, tuple(part / math.hypot(*step) for part in step)) for step in self._steps)
        return x, y, z

    @property
    def normal(self) -> Vector:
        """The unit vector perpendicular to x and y, by their right-handed product: DICOM's order of slices."""
        across = np.cross(self.x, self.y)
        return cast(Vector, tuple((across / np.linalg.norm(across) + 0.0).tolist()))

    def __call__(self, x: float, y: float, z: float) -> Vector:
        """The place of a pixel in millimeters."""
        place = (self.matrix @ [x, y, z, 1.0])[:3]
        return cast(Vector, tuple((place + 0.0).tolist()))

    def index_of(self, world: Sequence[float]) -> Vector:
        """The index (x, y, z), not rounded, of a place: the inverse."""
        return cast(Vector, tuple(np.linalg.solve(self.matrix, [*world, 1.0])[:3].tolist()))

    def cropped(self, first: Sequence[int]) -> Affine:
        """The affine of what is left from the index `first` (x, y, z) on; negative where pixels are added."""
        return Affine(*self._steps, self(first[0], first[1], first[2]))

    def centered_crop(self, before: Sequence[int], after: Sequence[int]) -> Affine:
        """The affine of the middle: of n pixels m are kept from n // 2 - m // 2 on, or added where m is more."""
        return self.cropped([n // 2 - m // 2 for n, m in zip(before, after, strict=True)])

    def interpolated(self, before: Sequence[int], after: Sequence[int]) -> Affine:
        """The affine of m pixels in place of n over the same field, as k-space that is padded to m gives them: n // 2 to m // 2."""
        finer = [n / m for n, m in zip(before, after, strict=True)]
        steps = [[part * by for part in step] for step, by in zip(self._steps, finer, strict=True)]
        middle = np.asarray(self(before[0] // 2, before[1] // 2, before[2] // 2))
        origin = middle - np.asarray([m // 2 for m in after]) @ np.asarray(steps)
        return Affine.of(np.vstack([steps, origin]).T)

    def flipped(self, axis: int, size: int) -> Affine:
        """The affine once an axis (0: x) of `size` pixels is reversed: pixel i is then at n - 1 - i."""
        last = [0, 0, 0]
        last[axis] = size - 1
        matrix = self.matrix
        matrix[:, axis] *= -1
        matrix[:3, 3] = self(*last)
        return Affine.of(matrix)

    def transposed(self, order: Sequence[int]) -> Affine:
        """The affine once axes are in another order: new axis i is what axis `order[i]` was.

        Raises
        ------
        ValueError
            If the order is none of 0, 1 and 2.
        """
        if sorted(order) != [0, 1, 2]:
            raise ValueError(f"Affine.transposed takes an order of 0, 1 and 2, got {tuple(order)}")
        x, y, z = (self._steps[axis] for axis in order)
        return Affine(x, y, z, self.origin)

    @property
    def _steps(self) -> tuple[Vector, Vector, Vector]:
        return self.x, self.y, self.z
