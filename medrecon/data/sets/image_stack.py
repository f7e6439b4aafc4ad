"""Images of one part of a set in an HDF5 file, with a table that says what each is."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from medrecon.data.hdf5 import HDF5Source
from medrecon.data.writing import atomic_file, hdf5_file
from medrecon.errors import InputError
from medrecon.words import shortened

__all__ = ["ImageStack", "write_stack"]


class ImageStack:
    """Images `(y, x)` of one part, and a row of texts and a number about each: `len(stack)`, `stack.image(i)`, `stack.rows[i]`.

    No handle is held between reads, so that it may be pickled, and shared with forked workers.

    Parameters
    ----------
    folder, part : path, str
        The folder of the set, and the part: `slices_PART.csv` has the table.
    file, data : str
        The file in the folder of the part, and the name of the array in it.
    columns : sequence of str
        Those of the table that are wanted, the number last.
    remedy : str
        How to get the set.

    Raises
    ------
    InputError
        If the images, or the table, are not there or do not fit together.
    """

    def __init__(self, folder: Path, part: str, file: str, data: str, columns: Sequence[str], remedy: str) -> None:
        self.path, self._data = folder / part / file, data
        try:
            with (folder / f"slices_{part}.csv").open(encoding="utf-8", newline="") as lines:
                table = [[row[column] for column in columns] for row in csv.DictReader(lines)]
            self.rows = tuple((tuple(texts), float(number)) for *texts, number in table)
        except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
            raise InputError(f"{folder}: holds no images of the part {part} ({shortened(error)}); {remedy}") from error
        self._source = HDF5Source(self.path, f"the set as it was made; {remedy}")
        with self._source.open() as opened:
            images = opened.dataset(data)
            if images is None or images.ndim != 3 or images.dtype.kind != "f":
                raise InputError(f"{self.path}: holds no images of the part {part}; {remedy}")
            self.shape: tuple[int, int, int] = images.shape
        if len(self.rows) != self.shape[0]:
            raise InputError(f"{folder}: lists {len(self.rows)} images and holds {self.shape[0]}; {remedy}")

    def __len__(self) -> int:
        return len(self.rows)

    def image(self, index: int) -> Tensor:
        """Read an image, float32."""
        with self._source.open() as file:
            return torch.from_numpy(file.read(self._data, range(len(self))[index], f"image {index}"))


def write_stack(
    folder: Path,
    part: str,
    file: str,
    data: str,
    columns: Sequence[str],
    samples: Iterable[tuple[Tensor, Sequence[str]]],
) -> None:
    """Write images, each with its row of texts under `columns`, as `ImageStack` reads them."""
    (folder / part).mkdir(exist_ok=True)
    lines = [",".join(("sample", *columns))]
    with atomic_file(folder / part / file) as temporary, hdf5_file(temporary) as output:
        for image, row in samples:
            output.append(data, image)
            lines.append(",".join((str(len(lines) - 1), *row)))
    (folder / f"slices_{part}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
