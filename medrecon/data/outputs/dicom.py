"""A folder of DICOM: one MR or CT image object a slice, as viewers and archives take them.

DICOM PS3.3, A.3 CT and A.4 MR Image IOD; C.7.6.2 Image Plane Module; PS3.15 Annex E for what is not said of persons.
"""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from medrecon._version import __version__
from medrecon.data.outputs.series import NOT_FOR_DIAGNOSIS, ImageSeries, Spool
from medrecon.modality import Modality
from medrecon.words import shortened

__all__ = ["Stored", "stored_as", "write_dicom"]

_LOWEST, _HIGHEST = -32768, 32767  # int16, in Hounsfield units
_BRIGHTEST = 32767  # of uint16: what takes them for signed shows them, too
_LONGEST = 1024  # characters of a short text (ST)


@dataclass(frozen=True)
class Stored:
    """How values become whole numbers: `round(value * factor)`, clipped to `low` and `high`.

    One factor holds for a series, as viewers compare its slices.
    """

    factor: float
    low: int
    high: int
    n_clipped: int = 0

    @property
    def is_signed(self) -> bool:
        """Whether they are int16, else uint16."""
        return self.low < 0

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.int16] | NDArray[np.uint16]:
        """The stored values of an image."""
        values = np.rint(image.astype(np.float64) * self.factor).clip(self.low, self.high)
        return values.astype("<i2") if self.is_signed else values.astype("<u2")

    @property
    def words(self) -> str:
        """What a reader of the numbers must know."""
        if self.is_signed:
            said = "stored values are Hounsfield units"
        else:
            said = f"stored value = intensity x {self.factor:.8g}, for all slices"
        clipped = f"; {self.n_clipped} values beyond {self.low} and {self.high} were clipped" if self.n_clipped else ""
        return said + clipped


def stored_as(images: Spool, modality: Modality) -> Stored:
    """Settle how the images of a series are stored: CT as Hounsfield units themselves, MRI by one factor for all."""
    if modality is Modality.CT:
        wanted = Stored(1.0, _LOWEST, _HIGHEST)
    else:
        wanted = Stored(_BRIGHTEST / images.high if images.high > 0 else 1.0, 0, _BRIGHTEST)
    if images.low * wanted.factor > wanted.low - 0.5 and images.high * wanted.factor < wanted.high + 0.5:
        return wanted
    beyond = 0
    for image in images:
        values = np.rint(image.astype(np.float64) * wanted.factor)
        beyond += int(((values < wanted.low) | (values > wanted.high)).sum())
    return Stored(wanted.factor, wanted.low, wanted.high, beyond)


def write_dicom(folder: Path, series: ImageSeries) -> None:
    """Write the files of a series into a folder that is empty, named by their number: 0001.dcm.

    Identifiers of the study, the series, the frame of reference and every image are new.
    """
    stored = stored_as(series.images, series.modality)
    common = _series_of(series, stored)
    digits = max(4, len(str(len(series.images))))
    for number, image in enumerate(series.images, start=1):
        one = copy.deepcopy(common)
        _place(one, series, number)
        one.PixelData = stored(image).tobytes()
        with (folder / f"{number:0{digits}d}.dcm").open("wb") as file:
            one.save_as(file, enforce_file_format=True)
            file.flush()
            os.fsync(file.fileno())


def _series_of(series: ImageSeries, stored: Stored) -> Dataset:
    """What all images have in common."""
    one = Dataset()
    one.SpecificCharacterSet = "ISO_IR 192"
    is_ct = series.modality is Modality.CT
    one.SOPClassUID = CTImageStorage if is_ct else MRImageStorage
    one.Modality = "CT" if is_ct else "MR"
    one.ImageType = ["DERIVED", "SECONDARY", "AXIAL" if is_ct else "OTHER"]
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(one, name, generate_uid(prefix=None))
    _say_who(one, series)
    one.Manufacturer, one.ManufacturerModelName, one.SoftwareVersions = "medrecon", "medrecon", __version__
    one.SeriesNumber = 1
    method = str(series.attributes.get("method", ""))
    one.SeriesDescription = shortened(f"medrecon {method} (not for diagnosis)", 64)
    told = (NOT_FOR_DIAGNOSIS, f"method {method}", stored.words, *series.planes.notes)
    one.DerivationDescription = shortened("; ".join(told), _LONGEST)
    one.ImageComments = shortened("; ".join(told), _LONGEST)
    _say_how(one, is_ct=is_ct)
    y, x = series.images.shape
    one.SamplesPerPixel, one.PhotometricInterpretation, one.Rows, one.Columns = 1, "MONOCHROME2", y, x
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, int(stored.is_signed)
    return one


def _say_who(one: Dataset, series: ImageSeries) -> None:
    """Type 2 attributes of patient and study: present and empty, but for what may be said."""
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        setattr(one, name, "")
    one.AccessionNumber, one.ReferringPhysicianName = "", ""
    for name, value in series.identity.items():
        setattr(one, name, value)
    if not series.identity:
        one.PatientIdentityRemoved = "YES"
        one.DeidentificationMethod = "nothing of the person was copied"
    one.PatientPosition = series.planes.patient_position
    one.PositionReferenceIndicator, one.Laterality = "", ""


def _say_how(one: Dataset, *, is_ct: bool) -> None:
    """What the modules of CT and of MR ask for: what a reconstruction does not know is empty."""
    if is_ct:
        one.KVP, one.AcquisitionNumber = None, None
        one.RescaleIntercept, one.RescaleSlope, one.RescaleType = "0", "1", "HU"
        one.WindowCenter, one.WindowWidth = "40", "400"
        return
    one.ScanningSequence, one.SequenceVariant, one.ScanOptions, one.MRAcquisitionType = "RM", "NONE", "", ""
    one.EchoTime, one.RepetitionTime, one.EchoTrainLength = None, None, None


def _place(one: Dataset, series: ImageSeries, number: int) -> None:
    """The image plane: the middle of the first pixel, the directions in which columns and rows grow, and their distances."""
    planes = series.planes
    affine = planes.affines[number - 1]
    along_x, along_y, _ = affine.directions
    dx, dy, _ = affine.spacing
    one.InstanceNumber = number
    one.SOPInstanceUID = generate_uid(prefix=None)
    one.ImagePositionPatient = [_decimal(place) for place in affine.origin]
    one.ImageOrientationPatient = [_decimal(part) for part in (*along_x, *along_y)]
    one.PixelSpacing = [_decimal(dy), _decimal(dx)]
    one.SliceThickness = None if planes.thickness is None else _decimal(planes.thickness)
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID, one.file_meta.MediaStorageSOPInstanceUID = (
        one.SOPClassUID,
        one.SOPInstanceUID,
    )


def _decimal(number: float) -> str:
    """A decimal string, of at most 16 characters."""
    return format_number_as_ds(float(number) + 0.0)
