"""Sinograms of any origin: HDF5 with the data set `sinogram`, or NumPy's `.npy`, and the geometry that belongs to them.

The geometry comes from a file that is named, from the attributes of the HDF5 file (`geometry`, a YAML text, or each of its
keys), or from a YAML file of the same name beside it, in this order.
"""

import operator
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrecon.data.ct.attenuation import AttenuationUnit
from medrecon.data.ct.geometry_files import KEYS, CTScan, geometry_text, parse_geometry, read_geometry
from medrecon.data.ct.sinograms import SinogramSample, describe_scan
from medrecon.data.hdf5 import HDF5Content, HDF5Source
from medrecon.data.identity import SameFiles
from medrecon.data.npy import ArraySource
from medrecon.data.writing import atomic_file, hdf5_file
from medrecon.errors import InputError
from medrecon.words import shortened

__all__ = ["SinogramFile", "Sinograms", "require_line_integrals", "write_sinograms"]

_WANTED = "one with the data set `sinogram`, LoDoPaB's observations, or a .npy with --geometry"
_RANKS = (2, 3)
_BYTES = 8  # of a number beside itself: in single precision, and what is looked at of it


class Sinograms(Protocol):
    """Sinograms of one scanner, read one at a time: `sinograms[i]` gives a `SinogramSample`."""

    @property
    def path(self) -> Path: ...
    @property
    def scan(self) -> CTScan: ...
    @property
    def unit(self) -> AttenuationUnit: ...
    @property
    def has_target(self) -> bool: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> SinogramSample: ...
    def raw(self, index: int) -> Tensor:
        """Read one sinogram, `(angle, detector)` float32, as it is, nothing checked."""
        ...

    def unchecked(self, index: int) -> SinogramSample:
        """Read one sample, its line integrals as they are, nothing checked of them."""
        ...


class SinogramFile:
    """A file of sinograms `(angle, detector)` or `(n, angle, detector)`, dimensionless line integrals `-log(I / I0)`.

    No handle is held between reads.

    Parameters
    ----------
    path : path-like
        `.npy`, or HDF5 with the data set `sinogram`, and `target`, images `(y, x)` or `(n, y, x)` in 1/mm, where there are any.
    geometry : path-like, optional
        A geometry file; it stands above what the file itself says.
    allow_external : bool
        Whether data sets may lie in other files, by links or as virtual ones.

    Raises
    ------
    InputError
        If the file or its geometry cannot be read, or they contradict each other. What is wrong with one sinogram alone is raised
        when that is read.
    ChangedError
        When a sinogram is read, if the file is no longer what it was.
    """

    unit = AttenuationUnit.PER_MM

    def __init__(
        self,
        path: str | os.PathLike[str],
        geometry: str | os.PathLike[str] | None = None,
        *,
        allow_external: bool = False,
    ) -> None:
        self.path = Path(path)
        self._same = SameFiles()  # the file of the geometry; the source sees to its own
        attributes: Mapping[str, Any] = {}
        target: tuple[int, ...] | None = None
        self._source: ArraySource | HDF5Source
        if self.path.suffix.lower() == ".npy":
            self._source = ArraySource(self.path)
            shape, dtype = self._source.shape, self._source.dtype
        else:
            self._source = HDF5Source(self.path, _WANTED, allow_external=allow_external)
            with self._source.open() as file:
                data = file.dataset("sinogram")
                if data is None:
                    raise InputError(f"{self.path}: no data set `sinogram`, it holds {file.names}; give {_WANTED}")
                shape, dtype = data.shape, data.dtype
                attributes = _attributes(file, data)
                target = self._target_shape(file)
                if len(shape) in _RANKS:
                    file.require_slices("sinogram", data, 2, _BYTES)
        self.notes: tuple[str, ...] = (shortened(attributes["notes"], 500),) if "notes" in attributes else ()
        self._flat = len(shape) == 2
        self.shape = _require_sinograms(self.path, shape, dtype)
        self.scan = self._find_scan(attributes, geometry)
        self._require_fit(geometry)
        self.has_target = target is not None
        if target is not None:
            self._require_target(target)

    def __repr__(self) -> str:
        n, views, bins = self.shape
        scan = describe_scan(self.scan.geometry, self.scan.grid, self.scan.photons, has_target=self.has_target)
        return f"SinogramFile({self.path}: (slice={n}, angle={views}, detector={bins}), {scan})"

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[SinogramSample]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> SinogramSample:
        sample = self.unchecked(index)
        require_line_integrals(sample.sinogram, self._place(sample.index))
        return sample

    def unchecked(self, index: int) -> SinogramSample:
        """Read one sample, its line integrals as they are, nothing checked of them."""
        index = self._require_index(index)
        sinogram = self.raw(index)
        target = self._read("target", index) if self.has_target else None
        if target is not None and not bool(target.isfinite().all()):
            raise InputError(f"{self._place(index)}: `target` holds NaN or infinite values; mend or remove it")
        return SinogramSample(
            sinogram=sinogram,
            geometry=self.scan.geometry,
            grid=self.scan.grid,
            target=target,
            unit=self.unit,
            photons=self.scan.photons,
            name=self.path.name,
            index=index,
        )

    def raw(self, index: int) -> Tensor:
        """Read one sinogram, `(angle, detector)` float32, as it is, nothing checked."""
        return self._read("sinogram", self._require_index(index))

    def _read(self, name: str, index: int) -> Tensor:
        place = f"slice {index} (of {len(self)}, counted from 0)"
        self._same.require_all()
        if isinstance(self._source, ArraySource):
            if self._flat:
                return _float32(self._source.read({}, place))
            return _float32(self._source.read({0: range(index, index + 1)}, place)[0])
        with self._source.open() as file:
            data = file.dataset(name)
            return _float32(file.read(name, None if data is not None and data.ndim == 2 else index, place))

    def _target_shape(self, file: HDF5Content) -> tuple[int, ...] | None:
        if (target := file.dataset("target")) is None:
            return None
        if target.dtype.kind not in "fiu":
            raise InputError(
                f"{self.path}: `target` is {target.shape} {shortened(str(target.dtype))}, and images are real; remove or mend it"
            )
        if target.ndim in _RANKS:
            file.require_slices("target", target, 2, _BYTES)
        return tuple(target.shape)

    def _require_index(self, index: int) -> int:
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path} has {len(self)} sinograms, got index {index}")
        return index % len(self)

    def _place(self, index: int) -> str:
        return f"{self.path}: slice {index} (of {len(self)}, counted from 0)"

    def _find_scan(self, attributes: Mapping[str, Any], geometry: str | os.PathLike[str] | None) -> CTScan:
        if geometry is not None:
            return self._read_geometry(Path(geometry))
        if "geometry" in attributes:
            return parse_geometry(attributes["geometry"], f"{self.path}: attribute `geometry`")
        if "beam" in attributes:
            said = {key: attributes[key] for key in KEYS if key in attributes}
            return parse_geometry({"n_bins": self.shape[2], **said}, f"{self.path}: attributes")
        for suffix in (".yaml", ".yml"):
            if (beside := self.path.with_suffix(suffix)).is_file():
                return self._read_geometry(beside)
        raise InputError(
            f"{self.path}: nothing says how the sinogram was measured; give --geometry FILE, a YAML file with the keys beam, "
            "angles, n_bins, spacing"
        )

    def _read_geometry(self, path: Path) -> CTScan:
        if path.is_file():  # and no pipe, which is another one each time
            self._same.require(path)
        scan = read_geometry(path)
        self._same.require_all()
        return scan

    def _require_fit(self, geometry: str | os.PathLike[str] | None) -> None:
        if self.shape[1:] == self.scan.geometry.shape:
            return
        hint = "; the axes may be swapped" if self.shape[:0:-1] == self.scan.geometry.shape else ""
        raise InputError(
            f"{self.path}: the sinogram is (angle, detector) = {self.shape[1:]}, and the geometry"
            f"{'' if geometry is None else f' of {geometry}'} has {self.scan.geometry.shape}{hint}; make them agree"
        )

    def _require_target(self, shape: tuple[int, ...]) -> None:
        grid = self.scan.grid.shape
        if shape not in ((self.shape[0], *grid), *([grid] if self.shape[0] == 1 else [])):
            raise InputError(
                f"{self.path}: `target` is {shape}, and the sinograms and their grid take ({self.shape[0]}, {grid[0]}, {grid[1]}); "
                "say the target's `grid` in the geometry, or remove it"
            )


def require_line_integrals(sinogram: Tensor, place: str, *, can_repair: bool = False) -> None:
    """Refuse a sinogram with values that no measurement gives; `place` stands before the reason.

    Where the option can be given, --repair is named, unless a whole view is lost, which nothing fills.

    Raises
    ------
    InputError
        If a value is NaN or infinite.
    """
    wrong = ~sinogram.isfinite()
    if not bool(wrong.any()):
        return
    view, k = (int(number) for number in wrong.nonzero()[0])
    kinds = [
        f"{int(count)} {name}"
        for name, count in (
            ("NaN", sinogram.isnan().sum()),
            ("minus infinity", sinogram.isneginf().sum()),
            ("infinite", sinogram.isposinf().sum()),
        )
        if int(count)
    ]
    raise InputError(
        f"{place}: the line integrals are not all finite ({', '.join(kinds)}; first at angle {view}, bin {k}); a ray of no photons "
        f"has no logarithm: {_remedy(wrong, can_repair=can_repair)}"
    )


def _remedy(wrong: Tensor, *, can_repair: bool) -> str:
    if bool(wrong.all(1).any()):
        return "floor the counts before it, or leave this slice out, of which whole views are lost"
    if can_repair:
        return "floor the counts before it, leave this slice out, or let --repair fill it from its neighbors"
    return "floor the counts before it, or leave this slice out"


def write_sinograms(
    path: str | os.PathLike[str],
    sinograms: Iterable[Tensor],
    scan: CTScan,
    *,
    targets: Iterable[Tensor] | None = None,
    attributes: Mapping[str, str | int | float] | None = None,
    overwrite: bool = False,
) -> None:
    """Write sinograms `(angle, detector)` as the file that `SinogramFile` reads, its geometry a YAML text among the attributes.

    Sinograms and targets `(y, x)`, in 1/mm, are taken in turn, so that no more than one of each is held.

    Raises
    ------
    InputError
        If the file cannot be written (see `atomic_file`).
    ValueError
        If there is no sinogram, or one is not of the geometry's shape, or a target not of the grid's.
    """
    with atomic_file(path, overwrite=overwrite) as temporary, hdf5_file(temporary) as output:
        pairs = ((one, None) for one in sinograms) if targets is None else zip(sinograms, targets, strict=True)
        for sinogram, target in pairs:
            _require_shape("sinogram", sinogram, scan.geometry.shape)
            output.append("sinogram", sinogram.to(torch.float32))
            if target is not None:
                _require_shape("target", target, scan.grid.shape)
                output.append("target", target.to(torch.float32))
        if "sinogram" not in output.file:
            raise ValueError("write_sinograms takes at least one sinogram, got none")
        text = geometry_text(scan)
        output.reserve(2 * len(text))
        output.file["sinogram"].attrs["unit"] = "dimensionless"
        for name, value in {"geometry": text, **(attributes or {})}.items():
            output.file.attrs[name] = value


def _require_shape(name: str, values: Tensor, shape: tuple[int, int]) -> None:
    if tuple(values.shape) != shape or values.is_complex():
        raise ValueError(f"write_sinograms takes a real {name} of {shape}, got {tuple(values.shape)} {values.dtype}")


def _attributes(file: HDF5Content, data: h5py.Dataset) -> dict[str, Any]:
    """What the file, or the data set, says of its geometry."""
    names = ("geometry", "notes", *KEYS)
    return file.attributes(names) | file.attributes(names, data)


def _require_sinograms(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, int, int]:
    if dtype.kind in "iub":
        raise InputError(
            f"{path}: the sinogram is {dtype}, which looks like counts of photons; give line integrals, "
            "-log(counts / counts without object)"
        )
    if dtype.kind != "f" or len(shape) not in _RANKS:
        raise InputError(
            f"{path}: the sinogram is {shape} {shortened(str(dtype))}, it takes real (angle, detector) or (n, angle, detector)"
        )
    if 0 in shape:
        raise InputError(f"{path}: the sinogram is {shape}, there is nothing in it; export it again")
    n, angles, bins = shape if len(shape) == 3 else (1, *shape)
    return n, angles, bins


def _float32(values: NDArray[Any]) -> Tensor:
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit becomes infinite, and is refused as such
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
