"""Where the images of a scan lie in the patient: as scanners prescribe slices, and as formats of images take them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medrecon.affine import Affine, Vector

__all__ = ["ImagePlanes", "Prescription", "SlicePose", "assumed_planes"]

_SAME = 1e-3  # mm, and of directions: what scanners round
_EVEN = 0.01  # mm by which slices of a volume may lie beside their places


@dataclass(frozen=True)
class ImagePlanes:
    """Where the images of a series lie in the patient, one after the other.

    Parameters
    ----------
    affines
        of each image: pixel (x, y, 0) to millimeters (LPS); its z is the step of one thickness through the image.
    thickness
        of a slice in millimeters, where it is known.
    patient_position
        DICOM's word, such as HFS, where it is known; positions are the patient's own in any case.
    notes
        what was assumed, or is not verified.
    """

    affines: tuple[Affine, ...]
    thickness: float | None = None
    patient_position: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.affines)

    def volume(self) -> Affine:
        """The affine of all images as one volume, its z from one image to the next.

        Raises
        ------
        ValueError
            If they are not parallel and evenly spaced, saying what they are.
        """
        first = self.affines[0]
        if len(self) == 1:
            return first
        for other in self.affines[1:]:
            if np.abs(np.subtract([other.x, other.y], [first.x, first.y])).max() > _SAME:
                raise ValueError("the slices are not parallel")
        origins = np.array([one.origin for one in self.affines])
        step = (origins[-1] - origins[0]) / (len(self) - 1)
        even = origins[0] + np.arange(len(self))[:, None] * step
        if np.abs(origins - even).max() > _EVEN or math.hypot(*step) < _SAME:
            gaps = np.linalg.norm(np.diff(origins, axis=0), axis=1)
            raise ValueError(f"the slices lie {gaps.min():.4g} to {gaps.max():.4g} mm apart")
        return Affine.of(np.vstack([first.x, first.y, step, first.origin]).T)


@dataclass(frozen=True)
class SlicePose:
    """Where a scanner measured a slice: the place of its middle in millimeters (LPS), and the unit vectors of its encoding.

    The three may be left-handed, as those of Siemens are; none is computed of the others.
    """

    position: Vector
    read: Vector
    phase: Vector
    normal: Vector


@dataclass(frozen=True)
class Prescription:
    """What the header of raw data says of where slices lie.

    Parameters
    ----------
    slices
        the pose of each, in the order of the file; their k-space is as the scanner wrote it, not conjugated.
    thickness
        in millimeters, where it is known.
    vendor
        of the scanner: its Fourier transform may run the other way.
    patient_position
        DICOM's word, such as HFS, where it is known.
    """

    slices: tuple[SlicePose, ...]
    thickness: float | None = None
    vendor: str = ""
    patient_position: str = ""

    def planes(self, indices: range, *, shape: tuple[int, int], pixel: tuple[float, float]) -> ImagePlanes:
        """The planes of images `(y, x)` of the slices at `indices`, of pixels `(dy, dx)` in millimeters: y is read, x phase.

        The middle of a slice is pixel n // 2 of its image, whatever was cropped or interpolated. Siemens' directions belong to a
        forward transform from k-space to the image: of the inverse, which is taken here, both run backward, about the same pixel.
        """
        sign, notes = (-1.0 if self._is_forward else 1.0), tuple[str, ...]()
        if not self._is_forward:
            who = self.vendor or "an unnamed vendor"
            notes = (
                f"the sign of the Fourier transform of {who} is not verified: images may be mirrored in the patient",
            )
        through = self.thickness or pixel[1]
        affines = []
        for pose in (self.slices[index] for index in indices):
            along_x, along_y = ((sign * a, sign * b, sign * c) for a, b, c in (pose.phase, pose.read))
            affines.append(
                Affine.centered(
                    pose.position,
                    (along_x, along_y, pose.normal),
                    spacing=(pixel[1], pixel[0], through),
                    shape=(shape[1], shape[0], 1),
                )
            )
        return ImagePlanes(tuple(affines), self.thickness, self.patient_position, notes)

    def slab(self, count: int, distance: float) -> Prescription:
        """The prescription of `count` partitions of a slab, `distance` mm apart; the only slice here is that at count // 2.

        A transform along the slab runs as those in the plane do.
        """
        (middle,) = self.slices
        sign = -distance if self._is_forward else distance
        poses = []
        for k in range(count):
            a, b, c = (
                place + sign * (k - count // 2) * part
                for place, part in zip(middle.position, middle.normal, strict=True)
            )
            poses.append(replace(middle, position=(a, b, c)))
        return replace(self, slices=tuple(poses), thickness=distance)

    @property
    def _is_forward(self) -> bool:
        """Whether directions are those of a forward transform from k-space to the image."""
        return "siemens" in self.vendor.lower()


def assumed_planes(
    indices: range, count: int, *, first: Sequence[float], pixel: tuple[float, float] | None, distance: float | None
) -> ImagePlanes:
    """The planes of images of which nothing states where they lie: x to the left, y to the back, slices to the head, about 0.

    Parameters
    ----------
    indices, count
        of the slices, of as many in the file: that at count // 2 lies at 0.
    first
        the place `(y, x)` of the first pixel, in pixels from the middle.
    pixel, distance
        `(dy, dx)`, and from slice to slice, in millimeters; None where they are not known: 1 mm is taken, and the width of a pixel.
    """
    dy, dx = pixel or (1.0, 1.0)
    step = distance or dx
    unknown = [what for what, known in (("pixels", pixel), ("slices", distance)) if known is None]
    notes = [
        "the raw data state no position and no directions: x of the images is written as to the patient's left, y as to the back, "
        "about the origin"
    ]
    if unknown:
        widths = " and ".join(f"{what} {dx if what == 'pixels' else step:g} mm" for what in unknown)
        notes.append(f"the raw data state no distances: {widths} apart are taken")
    affines = tuple(
        Affine(
            (dx, 0.0, 0.0), (0.0, dy, 0.0), (0.0, 0.0, step), (first[1] * dx, first[0] * dy, (k - count // 2) * step)
        )
        for k in indices
    )
    return ImagePlanes(affines, distance, notes=tuple(notes))
