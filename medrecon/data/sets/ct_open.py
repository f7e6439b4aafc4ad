"""CT slices of many people, published under free licenses, as one set divided by person."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medrecon.data.ct.dicom import read_dicom
from medrecon.data.sets.collected import Collected
from medrecon.data.sets.image_stack import ImageStack, write_stack
from medrecon.data.sets.manifest import Part
from medrecon.data.volume import CTVolume, lay_out
from medrecon.errors import InputError
from medrecon.progress import Progress, silent

__all__ = ["CTImages", "CTSlice", "convert_ct_open", "read_slice"]

_PARTS = get_args(Part)
_SLICES = "slices_000.h5"
_COLUMNS = ("subject", "pixel")


@dataclass(frozen=True, eq=False)
class CTSlice:
    """One slice `(y, x)` in Hounsfield units, at least -1024, and the width of its square pixels in millimeters."""

    hounsfield: Tensor
    subject: str
    pixel: float


class CTImages:
    """The slices of one part: `len(images)`, `images[i]` reads one `CTSlice`.

    No handle is held between reads, so that it may be pickled, and shared with forked workers.

    Parameters
    ----------
    folder : path
        The folder of the set, as `medrecon data path ct-open` prints it.
    part : str
        The part, such as train.

    Raises
    ------
    InputError
        If the slices, or the list of them, are not there or do not fit together.
    """

    def __init__(self, folder: Path, part: str = "train") -> None:
        remedy = "get the set with `medrecon data fetch ct-open`"
        self._stack = ImageStack(folder, part, _SLICES, "hounsfield", _COLUMNS, remedy)
        self.path, self.shape = self._stack.path, self._stack.shape

    def __len__(self) -> int:
        return len(self._stack)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Who each slice shows."""
        return tuple(subject for (subject,), _ in self._stack.rows)

    def __iter__(self) -> Iterator[CTSlice]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> CTSlice:
        (subject,), pixel = self._stack.rows[index]
        return CTSlice(self._stack.image(index), subject, pixel)


def convert_ct_open(files: Iterable[Collected], data: Path, progress: Progress = silent) -> None:
    """Write the files of collections of CT slices as a set, in the folder `data`; `CTImages` reads it.

    Raises
    ------
    InputError
        If a file is not what its collection says.
    """
    collected = list(files)
    for part in _PARTS:
        if chosen := [one for one in collected if one.file.part == part]:
            write_stack(data, part, _SLICES, "hounsfield", _COLUMNS, _samples(chosen, part, progress))


def _samples(files: Sequence[Collected], part: str, progress: Progress) -> Iterator[tuple[Tensor, tuple[str, str]]]:
    for number, one in enumerate(files):
        ct = read_slice(one)
        yield ct.hounsfield, (ct.subject, f"{ct.pixel:.6f}")
        progress(f"laying out {part}", number, len(files))


def read_slice(collected: Collected) -> CTSlice:
    """Read one slice, laid out as all axial slices are: y to the back, x to the patient's left.

    Raises
    ------
    InputError
        If it cannot be read, or is not one slice of square pixels.
    """
    content = collected.content
    volume = read_dicom(content) if isinstance(content, Path) else _laid(collected, content)
    _, dy, dx = volume.spacing
    if len(volume) != 1 or abs(dy - dx) > 1e-3 * dx:
        raise InputError(f"{collected}: holds {len(volume)} slices of {dy:g} x {dx:g} mm, not one of square pixels")
    return CTSlice(volume.hounsfield[0], collected.subject, dx)


def _laid(collected: Collected, packed: NDArray[np.generic]) -> CTVolume:
    file = collected.file
    if packed.ndim != 2 or file.spacing is None or file.orientation is None:
        raise InputError(f"{collected}: the manifest states no spacing and orientation of it, or it is no slice")
    dz, dy, dx = file.spacing
    along_row, along_column = np.array(file.orientation).reshape(2, 3)
    steps = np.stack([np.cross(along_row, along_column) * dz, along_column * dy, along_row * dx])
    return lay_out(packed[None].astype(np.float32), steps)
