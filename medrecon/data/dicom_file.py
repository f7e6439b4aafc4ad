"""The door to DICOM: a file whose header is read value by value, and whose pixels are read once their size is known."""

from importlib import util
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from medrecon.data.foreign import reading, require_held
from medrecon.data.identity import SameFiles
from medrecon.errors import InputError
from medrecon.words import shortened

__all__ = ["DicomFile", "open_dicom"]

_LARGEST = 1e9  # of a number in a header
_FEW, _LARGEST_NUMBER = 2**20, 8  # pixels, and bytes of each
_SMALL = 2**20  # bytes: what is deflated into these does not fill the memory
_EXPORT = "export the series again"
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")  # with which a file without preamble begins
#: In which functional group of a frame a value stands. DICOM PS3.3, C.7.6.16.2 and C.8.13.5.
_GROUPS = {
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "TemporalPositionIndex": "FrameContentSequence",
}
_FRAME_TYPES = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence")


class DicomFile:
    """A file whose header was read, or one frame of it; no handle is held.

    A value of a frame is that of its own functional groups, else of those that all frames share, else of the file.

    Raises
    ------
    InputError
        By all methods, if a value is not what the standard says, or cannot be read; the text names the file and the value.
    """

    def __init__(self, path: Path, header: pydicom.Dataset, same: SameFiles, frame: int | None = None) -> None:
        self.path, self._header, self._same, self.frame = path, header, same, frame
        self._n_bytes = same.require(path)
        self._texts: dict[str, str] = {}
        self._numbers: dict[str, NDArray[np.float64] | None] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._header

    @property
    def is_directory(self) -> bool:
        """Whether it lists other files, and is no image: a DICOMDIR, whatever it is called."""
        with self._reading("kind"):
            meta = getattr(self._header, "file_meta", None)
            return meta is not None and meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage

    def frames(self) -> "list[DicomFile]":
        """Each frame of a file with functional groups (Enhanced CT and MR), of any other the file alone.

        Raises
        ------
        InputError
            If there are not as many groups as frames.
        """
        with self._reading("frames"):
            groups = self._header.get("PerFrameFunctionalGroupsSequence")
        if not groups:
            return [self]
        count = self.whole("NumberOfFrames") or 1
        if len(groups) != count:
            raise InputError(f"{self.path}: has {count} frames, and {len(groups)} of them are described; {_EXPORT}")
        return [DicomFile(self.path, self._header, self._same, frame) for frame in range(count)]

    def _value(self, name: str) -> Any:
        if self.frame is None:
            return self._header.get(name)
        macros = _FRAME_TYPES if name == "FrameType" else (_GROUPS.get(name, ""),)
        of_frame = self._header.PerFrameFunctionalGroupsSequence[self.frame]
        for group in (of_frame, *(self._header.get("SharedFunctionalGroupsSequence") or ())[:1]):
            for macro in macros:
                if (found := group.get(macro)) and name in found[0]:
                    return found[0].get(name)
        return self._header.get(name)

    def text(self, name: str) -> str:
        """A value in short words; empty where there is none."""
        if name not in self._texts:
            with self._reading(name):
                value = self._value(name)
                words = "" if value is None else shortened(value if isinstance(value, str) else str(value), 64)
            self._texts[name] = words
        return self._texts[name]

    def numbers(self, name: str, count: int) -> NDArray[np.float64] | None:
        """So many finite numbers, or None where nothing is stated."""
        if name not in self._numbers:
            with self._reading(name):
                value = self._value(name)
                stated = value is not None and (isinstance(value, int | float) or len(value) > 0)
                self._numbers[name] = np.asarray(value, dtype=np.float64).reshape(-1) if stated else None
        numbers = self._numbers[name]
        if numbers is None:
            return None
        if len(numbers) != count:
            raise InputError(f"{self.path}: its {name} has {len(numbers)} numbers, not {count}; {_EXPORT}")
        if not (np.abs(numbers) <= _LARGEST).all():
            said = shortened(numbers[0] if count == 1 else numbers.tolist())
            raise InputError(f"{self.path}: its {name} is {said}, which no scanner states; {_EXPORT}")
        return numbers

    def number(self, name: str) -> float | None:
        """A finite number, or None where nothing is stated."""
        found = self.numbers(name, 1)
        return None if found is None else float(found[0])

    def whole(self, name: str) -> int | None:
        """A whole number, or None where nothing is stated."""
        found = self.number(name)
        return None if found is None else int(found)

    def size(self) -> int:
        """Bytes of the pixels once unpacked, by the header, of few pixels at most; 0 where it does not state them."""
        rows, columns = (self.whole(name) or 0 for name in ("Rows", "Columns"))
        numbers = rows * columns * (self.whole("SamplesPerPixel") or 1) * (self.whole("NumberOfFrames") or 1)
        return numbers * _LARGEST_NUMBER if numbers < _FEW else numbers * (self.whole("BitsAllocated") or 0) // 8

    def require_size(self) -> int:
        """Return the bytes of the pixels once unpacked, if the file can hold them."""
        stated = self.size()
        shape = f"{self.whole('Rows')} x {self.whole('Columns')}"
        require_held(f"{self.path}: its pixels are {shape}", stated, self._n_bytes)
        return stated

    def pixels(self) -> NDArray[Any]:
        """Read the pixels, as they are stored; of a frame its own alone.

        Raises
        ------
        InputError
            If they are not there, cannot be decoded, or are not of the size that is stated.
        ChangedError
            If the file is not the one of which the header was read.
        """
        with self._reading("pixels"), self.path.open("rb") as file:
            self._same.require(self.path, file.fileno())
            self.require_size()
            try:
                if self.frame is not None and self._header.file_meta.get("TransferSyntaxUID"):
                    return pixel_array(file, index=self.frame)
                full = _read(file, whole=True)
                if full is None or "PixelData" not in full:
                    raise InputError(f"{self.path}: holds no pixel data; export the series again with its images")
                return pixel_array(full, index=self.frame)
            except InputError:
                raise
            except Exception as error:  # the decoders raise whatever they like
                self._same.require(self.path)
                raise self._undecoded(error) from error

    def _undecoded(self, error: Exception) -> InputError:
        syntax = getattr(getattr(self._header, "file_meta", None), "TransferSyntaxUID", None)
        if syntax is not None and syntax.is_compressed:
            install = "" if util.find_spec("libjpeg") else "install medrecon[dicom], or "
            return InputError(
                f"{self.path}: its pixels are compressed ({shortened(syntax.name)}) and cannot be decoded here; {install}"
                "decompress the series (gdcmconv --raw)"
            )
        return InputError(
            f"{self.path}: its pixels cannot be read, it may be cut short ({shortened(error, 160)}); copy it again"
        )

    def _reading(self, name: str) -> Any:
        return reading(self.path, f"its {name}", _EXPORT)


def open_dicom(path: Path) -> DicomFile | None:
    """Read the header of a file; None for one that is no DICOM.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    same = SameFiles()
    with reading(path, "its DICOM header", "copy it again, or leave it out"), path.open("rb") as file:
        n_bytes = same.require(path, file.fileno())
        if n_bytes > _SMALL:
            _require_inflated(path)
        header = _read(file, whole=False)
        return None if header is None else DicomFile(path, header, same)


def _read(file: BinaryIO, *, whole: bool) -> pydicom.Dataset | None:
    """Read a file, with its pixels if it is to be whole; one without preamble, too, if it is an image. None for any other."""
    try:
        return pydicom.dcmread(file, stop_before_pixels=not whole)
    except InvalidDicomError:
        file.seek(0)
        if file.read(2) not in _FIRST_GROUPS:
            return None
    file.seek(0)
    found = pydicom.dcmread(file, stop_before_pixels=not whole, force=True)
    if not ("SOPClassUID" in found and "Rows" in found):
        return None
    if "TransferSyntaxUID" not in found.file_meta:
        implicit, little = found.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        found.file_meta = FileMetaDataset()
        found.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return found


def _require_inflated(path: Path) -> None:
    """Refuse a large file that is deflated as a whole: reading its header would unpack all of it, however large that is."""
    try:
        syntax = read_file_meta_info(path).get("TransferSyntaxUID")
    except InvalidDicomError:
        return
    if syntax == DeflatedExplicitVRLittleEndian:
        raise InputError(f"{path}: is deflated as a whole; unpack it (gdcmconv --raw)")
