"""In which format images are written: by the ending of a name, or by what is asked."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from medrecon.errors import InputError

__all__ = ["ImageFormat", "format_of"]


class ImageFormat(StrEnum):
    """Formats of images that are written."""

    HDF5 = "h5"
    NIFTI = "nifti"
    METAIMAGE = "mha"
    NRRD = "nrrd"
    DICOM = "dicom"
    NPY = "npy"

    @property
    def endings(self) -> tuple[str, ...]:
        """Of file names, that which is given to new files first; none for a folder."""
        match self:
            case ImageFormat.HDF5:
                return ".h5", ".hdf5"
            case ImageFormat.NIFTI:
                return ".nii.gz", ".nii"
            case ImageFormat.DICOM:
                return ()
            case _:
                return (f".{self.value}",)

    @property
    def ending(self) -> str:
        """Of new files; empty for a folder."""
        return next(iter(self.endings), "")

    @property
    def is_placed(self) -> bool:
        """Whether it says where images lie in the patient, for viewers; CT is in Hounsfield units there."""
        return self not in (ImageFormat.HDF5, ImageFormat.NPY)


def format_of(path: Path, asked: ImageFormat | None = None) -> ImageFormat:
    """The format of a file to write, as asked, else by its ending.

    Raises
    ------
    InputError
        If the ending is of none, or of another than what is asked.
    """
    name = path.name.lower()
    found = next((one for one in ImageFormat if name.endswith(one.endings)), None)
    if asked is None and found is None:
        endings = ", ".join(f"*{ending}" for one in ImageFormat for ending in one.endings)
        raise InputError(f"{path}: its ending names no format of images; name it {endings}, or give --format dicom")
    if asked is not None and found is not asked and (found is not None or asked.endings):
        wanted = " or ".join(f"*{ending}" for ending in asked.endings) or "a folder without such an ending"
        raise InputError(f"{path}: --format {asked} writes {wanted}; name it so, or leave --format out")
    found = asked or found
    assert found is not None
    return found
