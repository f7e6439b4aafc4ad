"""CT slices of many people, published under free licenses, as one set divided by person."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrecon.data.ct.dicom import read_dicom
from medrecon.data.hdf5 import HDF5Source
from medrecon.data.sets.collected import Collected
from medrecon.data.sets.manifest import Part
from medrecon.data.volume import CTVolume, lay_out
from medrecon.data.writing import atomic_file, hdf5_file
from medrecon.errors import InputError
from medrecon.progress import Progress, silent
from medrecon.words import shortened

__all__ = ["CTImages", "CTSlice", "convert_ct_open", "read_slice"]

_PARTS = get_args(Part)
_SLICES = "slices_000.h5"


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
        self.path = folder / part / _SLICES
        remedy = "get the set with `medrecon data fetch ct-open`"
        try:
            with (folder / f"slices_{part}.csv").open(encoding="utf-8", newline="") as lines:
                self._slices = tuple((row["subject"], float(row["pixel"])) for row in csv.DictReader(lines))
        except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
            raise InputError(f"{folder}: holds no slices of the part {part} ({shortened(error)}); {remedy}") from error
        self._source = HDF5Source(self.path, f"the set as it was made; {remedy}")
        with self._source.open() as file:
            slices = file.dataset("hounsfield")
            if slices is None or slices.ndim != 3 or slices.dtype.kind != "f":
                raise InputError(f"{self.path}: holds no slices of the part {part}; {remedy}")
            self.shape: tuple[int, int, int] = slices.shape
        if len(self._slices) != self.shape[0]:
            raise InputError(f"{folder}: lists {len(self._slices)} slices and holds {self.shape[0]}; {remedy}")

    def __len__(self) -> int:
        return len(self._slices)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Who each slice shows."""
        return tuple(subject for subject, _ in self._slices)

    def __iter__(self) -> Iterator[CTSlice]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> CTSlice:
        subject, pixel = self._slices[index]
        with self._source.open() as file:
            values = torch.from_numpy(file.read("hounsfield", range(len(self))[index], f"slice {index}"))
        return CTSlice(values, subject, pixel)


def convert_ct_open(files: Iterable[Collected], data: Path, progress: Progress = silent) -> None:
    """Write the files of collections of CT slices as a set, in the folder `data`; `CTImages` reads it.

    Raises
    ------
    InputError
        If a file is not what its collection says.
    """
    collected = list(files)
    for part in _PARTS:
        chosen = [one for one in collected if one.file.part == part]
        if not chosen:
            continue
        (data / part).mkdir()
        lines = ["sample,subject,pixel"]
        with atomic_file(data / part / _SLICES) as temporary, hdf5_file(temporary) as output:
            for number, one in enumerate(chosen):
                ct = read_slice(one)
                output.append("hounsfield", ct.hounsfield)
                lines.append(f"{number},{ct.subject},{ct.pixel:.6f}")
                progress(f"laying out {part}", number, len(chosen))
        (data / f"slices_{part}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


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
