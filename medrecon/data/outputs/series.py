"""Images of one scan on their way into a file, with all that a format may say of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medrecon.modality import Modality
from medrecon.planes import ImagePlanes

__all__ = ["NOT_FOR_DIAGNOSIS", "ImageSeries", "Spool"]

NOT_FOR_DIAGNOSIS = "derived by medrecon, not for diagnosis"


class Spool:
    """Images `(y, x)` of one shape, float32, in a file without a name, until all are there; they are gone when it is closed."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, closed by `close`
        self._count = 0
        self.shape: tuple[int, int] = (0, 0)
        self.low, self.high = np.inf, -np.inf

    def __len__(self) -> int:
        return self._count

    def append(self, image: NDArray[np.float32]) -> None:
        """Take the next image.

        Raises
        ------
        ValueError
            If its shape is not that of the first.
        """
        if self._count and image.shape != self.shape:
            raise ValueError(f"images of one shape are written, {self.shape}, got {image.shape}")
        self.shape = (image.shape[0], image.shape[1])
        self._file.write(np.ascontiguousarray(image, "<f4").tobytes())
        self._file.flush()  # a full disk is met here
        self._count += 1
        self.low, self.high = min(self.low, float(image.min())), max(self.high, float(image.max()))

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        self._file.seek(0)
        size = self.shape[0] * self.shape[1]
        for _ in range(self._count):
            yield np.frombuffer(self._file.read(4 * size), "<f4").reshape(self.shape)

    def close(self) -> None:
        """Give the images up."""
        self._file.close()


@dataclass(frozen=True, eq=False)
class ImageSeries:
    """What is written: `images`, float32 `(y, x)`, one after the other, and what is known of them.

    Parameters
    ----------
    images
        of CT in Hounsfield units, of MRI magnitudes, where the format says where they lie in the patient.
    modality, planes
        of what, and where each lies.
    attributes
        how they were made, by name.
    identity
        what may be said of the person, by DICOM's keywords.
    """

    images: Spool
    modality: Modality
    planes: ImagePlanes
    attributes: Mapping[str, str | int | float]
    identity: Mapping[str, str]

    @property
    def description(self) -> str:
        """What these images are, in a few ASCII words."""
        unit = str(self.attributes.get("unit", ""))
        return f"{NOT_FOR_DIAGNOSIS}; method {self.attributes.get('method', 'unknown')}; {unit}"
