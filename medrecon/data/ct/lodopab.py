"""Files in the format of LoDoPaB-CT: simulated low-dose chest CT, in numbered HDF5 files of 128 images.

Leuschner, Schmidt, Otero Baguer and Maass, LoDoPaB-CT, Scientific Data 8:109 (2021).
"""

import bisect
import itertools
import operator
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medrecon.data.ct.attenuation import MU_MAX, AttenuationUnit, image_from_unit, image_in_unit
from medrecon.data.ct.photons import LODOPAB_PHOTONS
from medrecon.data.ct.sinograms import SinogramSample, describe_scan
from medrecon.data.hdf5 import HDF5Source
from medrecon.data.writing import atomic_file, hdf5_file
from medrecon.errors import InputError
from medrecon.geometry import lodopab, lodopab_grid
from medrecon.words import shortened

__all__ = ["SAMPLES_PER_FILE", "LoDoPaB", "LoDoPaBFile", "write_lodopab", "write_lodopab_images"]

SAMPLES_PER_FILE = 128
_WANTED = "a file in the format of LoDoPaB-CT (.hdf5)"
_GEOMETRY, _GRID = lodopab(), lodopab_grid()
_PER_UNIT = MU_MAX * 1000  # line integrals are stored over mu_max in 1/m
_BYTES = 8  # of a number beside itself
_OBSERVATIONS = re.compile(r"observation_(\w+?)_(\d{3,})\.hdf5")


class LoDoPaBFile:
    """One file of observations: `file[i]` reads a sample with its ground truth, `len(file)` counts them.

    The images of `observation_PART_000.hdf5` are in `ground_truth_PART_000.hdf5`, beside it or in a folder
    `ground_truth_PART` beside its own; without that file the samples have no target. No handle is held between reads,
    so that a file may be pickled, and shared with forked workers.

    Raises
    ------
    InputError
        If a file cannot be read or is of another kind. What is wrong with one sample alone (NaN, infinite values,
        damage) is raised when that sample is read.
    ChangedError
        When a sample is read, if a file is no longer what it was.
    """

    def __init__(self, path: str | os.PathLike[str], *, allow_external: bool = False) -> None:
        self.path = Path(path)
        if self.path.name.startswith("ground_truth_"):
            wanted = self.path.name.replace("ground_truth_", "observation_", 1)
            raise InputError(f"{self.path}: holds images, not measurements; give {wanted}")
        self._observations = HDF5Source(self.path, _WANTED, allow_external=allow_external)
        self._length = _count(self._observations, _GEOMETRY.shape, "observations (sample, angle, detector)")
        self.truth = _truth_of(self.path)
        self._images = None
        if self.truth is not None:
            self._images = HDF5Source(self.truth, _WANTED, allow_external=allow_external)
            images = _count(self._images, _GRID.shape, "images (sample, x, y)")
            if images != self._length:
                raise InputError(
                    f"{self.truth}: holds {images} images, and {self.path.name} {self._length} observations"
                )

    def __repr__(self) -> str:
        return f"LoDoPaBFile({self.path}: {_facts(len(self), self.truth is not None)})"

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[SinogramSample]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> SinogramSample:
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path} has {len(self)} samples, got index {index}")
        index %= len(self)
        image = None if self._images is None else _read(self._images, index)
        return SinogramSample(
            sinogram=_read(self._observations, index) * _PER_UNIT,
            geometry=_GEOMETRY,
            grid=_GRID,
            target=None if image is None else image_from_unit(image, AttenuationUnit.LODOPAB).contiguous(),
            unit=AttenuationUnit.LODOPAB,
            photons=LODOPAB_PHOTONS,
            name=self.path.name,
            index=index,
        )


class LoDoPaB:
    """A part of LoDoPaB-CT, or of a set in its format: `data[i]` reads sample i, counted across the files.

    Parameters
    ----------
    folder
        Holds `observation_PART_000.hdf5`, 001, ... and `ground_truth_PART_000.hdf5`, ..., or folders `observation_PART`
        and `ground_truth_PART` that do.
    part
        `train`, `validation`, `test` or `challenge`.
    allow_external
        Whether data sets may lie in other files, by links or as virtual ones.

    Raises
    ------
    InputError
        If the part is not there, a file of it is missing, or one is not what it should be.
    """

    def __init__(self, folder: str | os.PathLike[str], part: str, *, allow_external: bool = False) -> None:
        self.folder, self.part = Path(folder), part
        paths = _observations(self.folder, part)
        self.files = tuple(LoDoPaBFile(path, allow_external=allow_external) for path in paths)
        without = [file.path.name for file in self.files if file.truth is None]
        if without and len(without) < len(self.files):
            wanted = without[0].replace("observation_", "ground_truth_", 1)
            raise InputError(f"{self.folder}: {wanted} is missing; unpack ground_truth_{part}.zip again")
        self._ends = list(itertools.accumulate(len(file) for file in self.files))

    def __repr__(self) -> str:
        return f"LoDoPaB({self.folder}, {self.part}: {_facts(len(self), self.files[0].truth is not None)})"

    def __len__(self) -> int:
        return self._ends[-1]

    def __iter__(self) -> Iterator[SinogramSample]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> SinogramSample:
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.part} of {self.folder} has {len(self)} samples, got index {index}")
        index %= len(self)
        number = bisect.bisect_right(self._ends, index)
        return self.files[number][index - self._ends[number]]  # counted from the end of the file


def write_lodopab(
    folder: str | os.PathLike[str], part: str, samples: Iterable[tuple[Tensor, Tensor]], *, overwrite: bool = False
) -> int:
    """Write pairs of sinogram and image in LoDoPaB's format, 128 a file, and return how many there were.

    Sinograms are line integrals `(angle, detector)`, images 1/mm `(y, x)`; they are taken in turn, so that no more than
    one is held. Each file appears when it is whole.

    Raises
    ------
    InputError
        If a file cannot be written (see `atomic_file`).
    ValueError
        If a sinogram or an image is not of LoDoPaB's shape.
    """
    folder, remaining, count = Path(folder), iter(samples), 0
    for number in itertools.count():
        block = itertools.islice(remaining, SAMPLES_PER_FILE)
        first = next(block, None)
        if first is None:
            break
        paths = [folder / f"{kind}_{part}_{number:03d}.hdf5" for kind in ("observation", "ground_truth")]
        with (
            atomic_file(paths[0], overwrite=overwrite) as observations,
            atomic_file(paths[1], overwrite=overwrite) as truths,
            hdf5_file(observations) as observation_file,
            hdf5_file(truths) as truth_file,
        ):
            for sinogram, image in itertools.chain([first], block):
                _require("sinogram", sinogram, _GEOMETRY.shape)
                _require("image", image, _GRID.shape)
                observation_file.append("data", (sinogram / _PER_UNIT).float())
                truth_file.append("data", image_in_unit(image, AttenuationUnit.LODOPAB).float())
                count += 1
    return count


def write_lodopab_images(path: str | os.PathLike[str], images: Iterable[Tensor], *, overwrite: bool = False) -> int:
    """Write images of 1/mm `(y, x)` to one file as LoDoPaB's ground truth is written, and return how many there were.

    Raises
    ------
    InputError
        If the file cannot be written (see `atomic_file`).
    ValueError
        If an image is not of LoDoPaB's shape, or there is none.
    """
    count = 0
    with atomic_file(path, overwrite=overwrite) as temporary, hdf5_file(temporary) as output:
        for image in images:
            _require("image", image, _GRID.shape)
            output.append("data", image_in_unit(image, AttenuationUnit.LODOPAB).float())
            count += 1
        if not count:
            raise ValueError(f"write_lodopab_images takes at least one image, got none for {path}")
    return count


def _observations(folder: Path, part: str) -> list[Path]:
    """Find the files of a part, in order and without a gap."""
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give the one that holds observation_{part}_000.hdf5")
    inside = folder / f"observation_{part}"
    found = {file.name: file for place in (inside, folder) if place.is_dir() for file in place.iterdir()}
    matches = [match for name in found if (match := _OBSERVATIONS.fullmatch(name))]
    numbers = {int(match[2]): found[match[0]] for match in matches if match[1] == part}
    if not numbers:
        parts = ", ".join(sorted({match[1] for match in matches})) or "no part"
        raise InputError(f"{folder}: holds no observation_{part}_000.hdf5; of LoDoPaB it holds {parts}")
    for number in range(max(numbers)):
        if number not in numbers:
            raise InputError(
                f"{folder}: observation_{part}_{number:03d}.hdf5 is missing; unpack observation_{part}.zip again"
            )
    return [numbers[number] for number in sorted(numbers)]


def _facts(count: int, has_target: bool) -> str:
    sizes = f"(sample={count}, angle={_GEOMETRY.shape[0]}, detector={_GEOMETRY.shape[1]})"
    return f"{sizes}, {describe_scan(_GEOMETRY, _GRID, LODOPAB_PHOTONS, has_target=has_target)}"


def _truth_of(path: Path) -> Path | None:
    match = _OBSERVATIONS.fullmatch(path.name)
    if match is None:
        return None
    name = path.name.replace("observation_", "ground_truth_", 1)
    places = (path.with_name(name), path.parent.parent / f"ground_truth_{match[1]}" / name)
    return next((place for place in places if place.is_file()), None)


def _count(source: HDF5Source, shape: tuple[int, int], what: str) -> int:
    """Return the number of samples in a file, once it is seen to be of the right kind."""
    with source.open() as file:
        path, data = file.path, file.dataset("data")
        if data is None:
            raise InputError(
                f"{path}: no data set `data`, it holds {file.names}; give a file in the format of LoDoPaB-CT"
            )
        if data.ndim != 3 or data.shape[1:] != shape or data.dtype.kind != "f":
            got = f"{data.shape} {shortened(str(data.dtype))}"
            raise InputError(f"{path}: `data` is {got}; LoDoPaB-CT has {what} = (n, {shape[0]}, {shape[1]})")
        if not len(data):
            raise InputError(f"{path}: `data` holds no sample; fetch the file again")
        file.require_slices("data", data, 2, _BYTES)
        return len(data)


def _read(source: HDF5Source, index: int) -> Tensor:
    path = source.path
    with (
        source.open() as file,
        np.errstate(over="ignore"),
    ):  # what does not fit becomes infinite, and is refused as such
        read = file.read("data", index, f"sample {index} (counted from 0)")
        values = np.ascontiguousarray(read, dtype=np.float32)
    wrong = values.size - int(np.isfinite(values).sum())
    if wrong:
        raise InputError(f"{path}: sample {index} (counted from 0) is NaN or infinite at {wrong} places; leave it out")
    return torch.from_numpy(values)


def _require(what: str, tensor: Tensor, shape: tuple[int, int]) -> None:
    if tuple(tensor.shape) != shape or tensor.is_complex():
        got = f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
        raise ValueError(f"a {what} of LoDoPaB-CT is real, of shape {shape}, got {got}")
