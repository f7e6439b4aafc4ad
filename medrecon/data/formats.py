"""What a file holds, told by its content: raw k-space of MRI, or sinograms of CT; both are opened here."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

import h5py
from torch import Tensor

from medrecon.axes import KSpaceAxis, SinogramAxis, are_of_kspace
from medrecon.data.arrays import holds_arrays, open_arrays
from medrecon.data.cfl import is_cfl
from medrecon.data.ct.attenuation import AttenuationUnit
from medrecon.data.ct.data_exchange import is_data_exchange, open_data_exchange
from medrecon.data.ct.geometry_files import CTScan
from medrecon.data.ct.lodopab import LoDoPaBFile
from medrecon.data.ct.nexus import find_nexus, open_nexus
from medrecon.data.ct.photons import LODOPAB_PHOTONS
from medrecon.data.ct.projection_arrays import open_projection_arrays
from medrecon.data.ct.projection_files import ProjectionOptions
from medrecon.data.ct.sinogram_files import SinogramFile, Sinograms
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.hdf5 import HDF5Source
from medrecon.data.mri.calibration_files import calibration_in, open_calibration
from medrecon.data.mri.fastmri import FastMRIFile
from medrecon.data.mri.ismrmrd_file import acquisition_groups, read_ismrmrd
from medrecon.data.mri.ismrmrd_stream import is_stream, is_stream_of_version_2, read_stream
from medrecon.data.mri.kspace_dataset import is_pair
from medrecon.data.mri.kspace_files import KSpaceFile
from medrecon.data.mri.kspace_layouts import holds_kspace, open_kspace_array
from medrecon.data.mri.raw_kspace import RawKSpaceFile
from medrecon.data.mri.raw_lines import chosen, numbers_of
from medrecon.data.mri.twix_file import is_twix, read_twix
from medrecon.errors import InputError
from medrecon.geometry import lodopab, lodopab_grid
from medrecon.modality import Modality

__all__ = ["Format", "find_format", "find_scan_files", "open_kspace", "open_sinograms"]

_WANTED = (
    "a file in the format of fastMRI or ISMRMRD (.h5), or a CT sinogram (.h5 with `sinogram`, LoDoPaB's .hdf5, .npy)"
)
_IMAGES = "holds DICOM images, which are reconstructed already; `medrecon simulate --modality ct --from` makes scans of those of CT"
_START = 2**14  # bytes that tell a format


class Format(StrEnum):
    """The kinds of file that can be reconstructed."""

    FASTMRI = "fastMRI"
    SINOGRAM = "sinogram"
    LODOPAB = "LoDoPaB"
    ISMRMRD = "ISMRMRD"
    MRD_STREAM = "MRD stream"
    TWIX = "Siemens twix"
    DATA_EXCHANGE = "Data Exchange"
    NEXUS = "NeXus"
    PROJECTION_ARRAY = "array of projections"
    KSPACE_ARRAY = "array of k-space"
    CFL = "BART"

    @property
    def modality(self) -> Modality:
        """The scanner."""
        return Modality.MRI if self in _OF_MRI else Modality.CT


_OF_MRI = frozenset((Format.FASTMRI, Format.ISMRMRD, Format.MRD_STREAM, Format.TWIX, Format.KSPACE_ARRAY, Format.CFL))


def find_format(path: str | os.PathLike[str], *, axes: str | None = None, allow_external: bool = False) -> Format:
    """Look into a file for `kspace`, `sinogram`, the `data` of LoDoPaB's observations, projections, or an array.

    `axes` are those of an array as a user names them: of real numbers they tell k-space from projections.

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
    if _is_dicom(start):
        raise InputError(f"{path}: {_IMAGES}")
    if is_stream(start):
        return Format.MRD_STREAM
    if is_twix(start):
        return Format.TWIX
    if is_cfl(Path(path)):
        return Format.CFL
    if holds_arrays(Path(path)):
        return _of_arrays(Path(path), axes, allow_external=allow_external)
    with HDF5Source(path, _WANTED, allow_external=allow_external).open() as file:
        for name, found in (("kspace", Format.FASTMRI), ("sinogram", Format.SINOGRAM)):
            if (held := file.dataset(name)) is not None:
                is_array = found is Format.FASTMRI and (
                    axes is not None or len(held.shape) == 5 or _may_be_calgary(held)
                )
                return Format.KSPACE_ARRAY if is_array else found
        if acquisition_groups(file):
            return Format.ISMRMRD
        if is_data_exchange(file):
            return Format.DATA_EXCHANGE
        if find_nexus(file) is not None:
            return Format.NEXUS
        for _, held in file.own_datasets():
            if (held.dtype.kind == "c" or is_pair(held.dtype)) and held.ndim > 1:
                return Format.KSPACE_ARRAY
        if file.holds("data") and (data := file.dataset("data")) is not None:
            if data.shape[1:] == (362, 362):
                raise InputError(
                    f"{path}: holds images of LoDoPaB, not measurements; give the observation_*.hdf5 file beside it"
                )
            return Format.LODOPAB
        raise InputError(f"{path}: no data set `kspace`, it holds {file.names}; give {_WANTED}")


def _is_dicom(start: bytes) -> bool:
    return start[128:132] == b"DICM"


def _start_of(path: str | os.PathLike[str]) -> bytes:
    """What a file begins with; nothing of one that cannot be opened, as its reader says so."""
    try:
        with Path(path).open("rb") as file:
            return file.read(_START)
    except OSError:
        return b""


def _may_be_calgary(held: h5py.Dataset) -> bool:
    """Whether `kspace` is real, its last axis an even number of a few."""
    shape = held.shape
    return held.dtype.kind == "f" and len(shape) == 4 and shape[3] % 2 == 0 and 2 < shape[3] < min(shape[1:3])


def _of_arrays(path: Path, axes: str | None, *, allow_external: bool) -> Format:
    """K-space is complex, and projections are real."""
    arrays = open_arrays(path, allow_external=allow_external)
    if holds_kspace(arrays) or are_of_kspace(axes):
        return Format.KSPACE_ARRAY
    is_sinogram = path.suffix.lower() == ".npy" and arrays[0].dtype.kind not in "iu"
    return Format.SINOGRAM if is_sinogram else Format.PROJECTION_ARRAY


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
        if any(_is_dicom(_start_of(file)) for file in folder.rglob("*") if file.is_file()):
            raise InputError(f"{path}: {_IMAGES}")
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
    path: str | os.PathLike[str],
    *,
    axes: tuple[KSpaceAxis, ...] | None = None,
    calibration: str | os.PathLike[str] | None = None,
    select: Mapping[str, str] | None = None,
    allow_external: bool = False,
) -> KSpaceFile:
    """Open a file of raw k-space; with `allow_external` its data sets may lie in other files.

    `axes` says what those of an array are; coil maps are estimated from the file `calibration`, or from that of the file itself.
    `select` says which of several repetitions, contrasts, phases, sets, encodings or groups is taken, of a format that has such.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no k-space.
    """
    words, choice = None if axes is None else ",".join(axes), select or {}
    found = find_format(path, axes=words, allow_external=allow_external)
    if choice and found in (Format.FASTMRI, Format.KSPACE_ARRAY, Format.CFL):
        raise InputError(f"{path}: of the format {found}, which holds one scan; leave --select out")
    file: KSpaceFile
    match found:
        case Format.ISMRMRD:
            group, numbers = chosen(choice, path)
            file = RawKSpaceFile(read_ismrmrd(path, group, allow_external=allow_external), numbers)
        case Format.MRD_STREAM:
            file = RawKSpaceFile(read_stream(path), numbers_of(choice, path))
        case Format.TWIX:
            file = RawKSpaceFile(read_twix(path), numbers_of(choice, path))
        case Format.FASTMRI:
            file = FastMRIFile(path, allow_external=allow_external)
        case Format.KSPACE_ARRAY | Format.CFL:
            file = open_kspace_array(Path(path), axes, allow_external=allow_external)
        case _:
            raise InputError(f"{path}: holds {found.modality.holds}, not {Modality.MRI.holds}")
    return calibration_in(file) if calibration is None else open_calibration(Path(calibration), file)


def open_sinograms(
    path: str | os.PathLike[str],
    geometry: str | os.PathLike[str] | None = None,
    *,
    flat: str | os.PathLike[str] | float | None = None,
    dark: str | os.PathLike[str] | float | None = None,
    axes: tuple[SinogramAxis, ...] | None = None,
    allow_external: bool = False,
) -> Sinograms:
    """Open a file of sinograms or projections; `geometry` names the file that says how they were measured, if they do not say so.

    Counts are normalized by the file of flats and darks, or by their counts, the same in all bins; `axes` says what those of an
    array are. With `allow_external` data sets may lie in other files.

    Raises
    ------
    InputError
        If the file or its geometry cannot be read, it holds no sinograms, or counts without flats.
    """
    fields = [one if one is None or isinstance(one, float | int) else Path(one) for one in (flat, dark)]
    options = ProjectionOptions(
        None if geometry is None else Path(geometry), fields[0], fields[1], axes, allow_external
    )
    words = None if axes is None else ",".join(axes)
    match find_format(path, axes=words, allow_external=allow_external):
        case Format.SINOGRAM if (
            Path(path).suffix.lower() != ".npy" or replace(options, geometry=None) == ProjectionOptions()
        ):
            _require_none(path, options)
            return SinogramFile(path, geometry, allow_external=allow_external)
        case Format.LODOPAB:
            _require_none(path, options)
            if geometry is not None:
                raise InputError(f"{path}: a LoDoPaB file has LoDoPaB's own geometry; leave --geometry out")
            return _LoDoPaB(LoDoPaBFile(path, allow_external=allow_external))
        case Format.DATA_EXCHANGE:
            return open_data_exchange(Path(path), options)
        case Format.NEXUS:
            return open_nexus(Path(path), options)
        case Format.PROJECTION_ARRAY | Format.SINOGRAM:
            return open_projection_arrays(Path(path), options)
        case found:
            raise InputError(f"{path}: holds {found.modality.holds}, not {Modality.CT.holds}")


def _require_none(path: str | os.PathLike[str], options: ProjectionOptions) -> None:
    """Refuse what is said of counts, or of axes, where neither is open."""
    for name in ("flat", "dark", "axes"):
        if getattr(options, name) is not None:
            raise InputError(f"{path}: holds line integrals (slice, angle, detector); leave --{name} out")


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
