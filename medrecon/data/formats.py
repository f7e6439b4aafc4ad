"""What a file holds, told by its content: raw k-space of MRI, or sinograms of CT; both are opened here."""

import os
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

from torch import Tensor

from medrecon.data.ct.attenuation import AttenuationUnit
from medrecon.data.ct.geometry_files import CTScan
from medrecon.data.ct.lodopab import LoDoPaBFile
from medrecon.data.ct.photons import LODOPAB_PHOTONS
from medrecon.data.ct.sinogram_files import SinogramFile, Sinograms
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.hdf5 import HDF5Source
from medrecon.data.mri.fastmri import FastMRIFile
from medrecon.data.mri.ismrmrd_file import acquisition_groups, read_ismrmrd
from medrecon.data.mri.ismrmrd_stream import is_stream, is_stream_of_version_2, read_stream
from medrecon.data.mri.kspace_dataset import is_pair
from medrecon.data.mri.kspace_files import KSpaceFile
from medrecon.data.mri.raw_kspace import RawKSpaceFile
from medrecon.data.mri.raw_lines import chosen, numbers_of
from medrecon.data.mri.twix_file import is_twix, read_twix
from medrecon.data.npy import ArraySource
from medrecon.errors import InputError
from medrecon.geometry import lodopab, lodopab_grid
from medrecon.modality import Modality
from medrecon.words import shortened

__all__ = ["Format", "find_format", "find_scan_files", "open_kspace", "open_sinograms"]

_WANTED = (
    "a file in the format of fastMRI or ISMRMRD (.h5), or a CT sinogram (.h5 with `sinogram`, LoDoPaB's .hdf5, .npy)"
)
_START = 2**14  # bytes that tell a format
_AS_KSPACE = "write it as HDF5 data set `kspace` (slice, coil, ky, kx)"


class Format(StrEnum):
    """The kinds of file that can be reconstructed."""

    FASTMRI = "fastMRI"
    SINOGRAM = "sinogram"
    LODOPAB = "LoDoPaB"
    ISMRMRD = "ISMRMRD"
    MRD_STREAM = "MRD stream"
    TWIX = "Siemens twix"

    @property
    def modality(self) -> Modality:
        """The scanner."""
        return Modality.CT if self in (Format.SINOGRAM, Format.LODOPAB) else Modality.MRI


def find_format(path: str | os.PathLike[str], *, allow_external: bool = False) -> Format:
    """Look into a file for `kspace`, `sinogram`, or the `data` of LoDoPaB's observations.

    Raises
    ------
    InputError
        If it cannot be opened, or holds none of them; if they lie in other files, unless `allow_external` is set.
    """
    start = _start_of(path)
    if is_stream_of_version_2(start):
        raise InputError(
            f"{path}: is a stream of MRD version 2, and version 1 is read; write it as ISMRMRD by the tools of MRD"
        )
    if is_stream(start):
        return Format.MRD_STREAM
    if is_twix(start):
        return Format.TWIX
    if Path(path).suffix.lower() == ".npy":
        array = ArraySource(path)
        if array.dtype.kind == "c":
            raise InputError(f"{path}: is complex {array.shape}, k-space of MRI and no sinogram; {_AS_KSPACE}")
        return Format.SINOGRAM
    with HDF5Source(path, _WANTED, allow_external=allow_external).open() as file:
        for name, found in (("kspace", Format.FASTMRI), ("sinogram", Format.SINOGRAM)):
            if file.dataset(name) is not None:
                return found
        if acquisition_groups(file):
            return Format.ISMRMRD
        for name, held in file.own_datasets():
            if held.dtype.kind == "c" or is_pair(held.dtype):
                raise InputError(
                    f"{path}: `{shortened(name)}` is complex {held.shape}, k-space of MRI and no sinogram; {_AS_KSPACE}"
                )
        if file.holds("data") and (data := file.dataset("data")) is not None:
            if data.shape[1:] == (362, 362):
                raise InputError(
                    f"{path}: holds images of LoDoPaB, not measurements; give the observation_*.hdf5 file beside it"
                )
            return Format.LODOPAB
        raise InputError(f"{path}: no data set `kspace`, it holds {file.names}; give {_WANTED}")


def _start_of(path: str | os.PathLike[str]) -> bytes:
    """What a file begins with; nothing of one that cannot be opened, as its reader says so."""
    try:
        with Path(path).open("rb") as file:
            return file.read(_START)
    except OSError:
        return b""


def find_scan_files(path: str | os.PathLike[str], *, arrays: bool = False) -> list[Path]:
    """Return the file, or the sorted scans of a folder, or of its subfolders if it holds none.

    Those are `*.h5` and `*.hdf5`, but for LoDoPaB's images, `*.dat` and `*.mrd` with raw data of MRI in them, and `*.npy` with a
    geometry beside them; with `arrays` all of these.

    Raises
    ------
    InputError
        If it does not exist, or a folder holds no such file.
    """
    folder = Path(path)
    try:
        folder.stat()
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or 'cannot be read').lower()}; check its name") from None
    if not folder.is_dir():
        return [folder]
    found = _scans(folder.iterdir(), arrays) or _scans(folder.rglob("*"), arrays)
    if not found:
        raise InputError(f"{path}: holds no *.h5 or *.hdf5 file; name a file, or another folder")
    return found


def _scans(paths: Iterable[Path], arrays: bool) -> list[Path]:
    def wanted(path: Path) -> bool:
        if path.name.startswith(".") or not path.is_file():
            return False
        if path.suffix == ".npy":
            return arrays or path.with_suffix(".yaml").is_file() or path.with_suffix(".yml").is_file()
        if path.suffix in (".dat", ".mrd"):
            start = _start_of(path)
            return is_twix(start) or is_stream(start) or start.startswith(b"\x89HDF")
        return path.suffix in (".h5", ".hdf5") and not path.name.startswith("ground_truth_")

    return sorted(path for path in paths if wanted(path))


def open_kspace(
    path: str | os.PathLike[str], *, allow_external: bool = False, select: Mapping[str, str] | None = None
) -> KSpaceFile:
    """Open a file of raw k-space; with `allow_external` its data sets may lie in other files.

    `select` says which of several repetitions, contrasts, phases, sets, encodings or groups is taken, of a format that has such.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no k-space.
    """
    match find_format(path, allow_external=allow_external):
        case Format.ISMRMRD:
            group, numbers = chosen(select or {}, path)
            return RawKSpaceFile(read_ismrmrd(path, group, allow_external=allow_external), numbers)
        case Format.MRD_STREAM:
            return RawKSpaceFile(read_stream(path), numbers_of(select or {}, path))
        case Format.TWIX:
            return RawKSpaceFile(read_twix(path), numbers_of(select or {}, path))
        case Format.FASTMRI if select:
            raise InputError(f"{path}: of the format of fastMRI, which holds one scan; leave --select out")
        case Format.FASTMRI:
            return FastMRIFile(path, allow_external=allow_external)
        case found:
            raise InputError(f"{path}: holds {found.modality.holds}, not {Modality.MRI.holds}")


def open_sinograms(
    path: str | os.PathLike[str], geometry: str | os.PathLike[str] | None = None, *, allow_external: bool = False
) -> Sinograms:
    """Open a file of sinograms; `geometry` names the file that says how they were measured, if they do not say so.

    With `allow_external` its data sets may lie in other files.

    Raises
    ------
    InputError
        If the file or its geometry cannot be read, or it holds no sinograms.
    """
    match find_format(path, allow_external=allow_external):
        case Format.SINOGRAM:
            return SinogramFile(path, geometry, allow_external=allow_external)
        case Format.LODOPAB:
            if geometry is not None:
                raise InputError(f"{path}: a LoDoPaB file has LoDoPaB's own geometry; leave --geometry out")
            return _LoDoPaB(LoDoPaBFile(path, allow_external=allow_external))
        case found:
            raise InputError(f"{path}: holds {found.modality.holds}, not {Modality.CT.holds}")


class _LoDoPaB:
    """A file of LoDoPaB's observations as `Sinograms`."""

    scan = CTScan(lodopab(), lodopab_grid(), LODOPAB_PHOTONS)
    unit = AttenuationUnit.LODOPAB
    notes: tuple[str, ...] = ()

    def __init__(self, file: LoDoPaBFile) -> None:
        self._file = file
        self.path = file.path
        self.has_target = file.truth is not None

    def __repr__(self) -> str:
        return repr(self._file)

    def __len__(self) -> int:
        return len(self._file)

    def __getitem__(self, index: int) -> SinogramSample:
        return self._file[index]

    def raw(self, index: int) -> Tensor:
        return self._file[index].sinogram

    def unchecked(self, index: int) -> SinogramSample:
        return self._file[index]
