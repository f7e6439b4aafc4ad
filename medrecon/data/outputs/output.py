"""Write images in any format, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from medrecon.data.outputs.dicom import stored_as, write_dicom
from medrecon.data.outputs.folder import atomic_folder
from medrecon.data.outputs.image_format import ImageFormat, format_of
from medrecon.data.outputs.series import ImageSeries, Spool
from medrecon.data.outputs.volumes import write_metaimage, write_nifti_series, write_npy, write_nrrd
from medrecon.data.writing import as_image, atomic_file, write_reconstruction
from medrecon.errors import InputError
from medrecon.modality import Modality
from medrecon.planes import ImagePlanes

__all__ = ["ImageOutput", "OutputForm", "SeriesOutput", "write_images"]

_MOST = 32767  # voxels along an axis of NIfTI


@dataclass(frozen=True)
class OutputForm:
    """How images are written.

    Parameters
    ----------
    format
        None for that which the ending of the name says.
    keep_identity
        whether what the raw data say of the person is copied.
    """

    format: ImageFormat | None = None
    keep_identity: bool = False


class ImageOutput(Protocol):
    """The open end of a file of images: told first where they lie, then given one after the other."""

    def place(self, modality: Modality, planes: ImagePlanes, identity: Mapping[str, str]) -> None:
        """Say what the images will be, and where they lie.

        Raises
        ------
        InputError
            If the format cannot say that.
        """
        ...

    def append(self, image: Tensor) -> None:
        """Write the next image `(y, x)`, real."""
        ...

    def append_samples(self, samples: Tensor) -> None:
        """Write what was drawn for the image that was written last, real `(sample, y, x)`, where the format has a place for it."""
        ...

    def link(self, name: str) -> None:
        """Let the images be found by another name, too, where the format has names."""
        ...

    def describe(self, attributes: Mapping[str, str | int | float]) -> tuple[str, ...]:
        """Say how the images were made, once all are there; return what a user should know of how they are stored."""
        ...


class SeriesOutput:
    """Images of a format that is written once all are there; see `ImageOutput`."""

    def __init__(self, path: Path, form: ImageFormat, spool: Spool, *, keep_identity: bool) -> None:
        self._path, self._format, self._spool, self._keep = path, form, spool, keep_identity
        self._modality, self._planes = Modality.MRI, ImagePlanes(())
        self._identity: Mapping[str, str] = {}
        self._attributes: Mapping[str, str | int | float] = {}
        self._leaves_samples = False

    def place(self, modality: Modality, planes: ImagePlanes, identity: Mapping[str, str]) -> None:
        self._modality, self._planes = modality, planes
        self._identity = identity if self._keep else {}
        if self._format not in (ImageFormat.NIFTI, ImageFormat.METAIMAGE, ImageFormat.NRRD):
            return
        try:
            planes.volume()
        except ValueError as error:
            raise InputError(
                f"{self._path}: {error}, and such a file holds one even stack; give --format dicom, or --slices of a part"
            ) from error

    def append(self, image: Tensor) -> None:
        if self._format is ImageFormat.NIFTI and max(*image.shape, len(self._planes)) > _MOST:
            raise InputError(f"{self._path}: NIfTI takes {_MOST} pixels along an axis; name another format")
        self._spool.append(as_image(image).detach().cpu().numpy())

    def append_samples(self, samples: Tensor) -> None:
        """There is no place for them."""
        del samples
        self._leaves_samples = True

    def link(self, name: str) -> None:
        """There is one name alone."""

    def describe(self, attributes: Mapping[str, str | int | float]) -> tuple[str, ...]:
        """Take what is told of the images, but for what names the file, which may be that of a person."""
        source = attributes.get("source")
        kept = {name: value for name, value in attributes.items() if self._keep or value != source}
        self._attributes = kept
        notes = self._planes.notes if self._format.is_placed else ()
        if self._leaves_samples:
            notes += ("the samples and their standard deviation are not written: --output x.h5 holds them",)
        if self._format is ImageFormat.DICOM:
            notes += (f"DICOM: {stored_as(self._spool, self._modality).words}",)
        return notes

    def write(self, temporary: Path) -> None:
        """Write all, into a file or a folder that is there and empty."""
        series = ImageSeries(self._spool, self._modality, self._planes, self._attributes, self._identity)
        match self._format:
            case ImageFormat.NIFTI:
                is_packed = self._path.name.lower().endswith(".gz")
                write_nifti_series(temporary, series, compressed=is_packed)
            case ImageFormat.METAIMAGE:
                write_metaimage(temporary, series)
            case ImageFormat.NRRD:
                write_nrrd(temporary, series)
            case ImageFormat.DICOM:
                write_dicom(temporary, series)
            case _:
                write_npy(temporary, series)


@contextmanager
def write_images(
    path: str | os.PathLike[str], form: OutputForm | None = None, *, overwrite: bool = False
) -> Iterator[ImageOutput]:
    """Write images one after the other, in the format of the ending or of `form`; they appear when the block ends well.

    ``with write_images("out.nii.gz") as output: output.place(...); output.append(image); output.describe(...)``.

    Raises
    ------
    InputError
        If the file or folder cannot be written, or the name is of no format.
    ValueError
        If no image was appended, or one is not real and of the size of the first.
    """
    form, path = form or OutputForm(), Path(path)
    kind = format_of(path, form.format)
    with ExitStack() as stack:
        if kind is ImageFormat.HDF5:
            yield stack.enter_context(write_reconstruction(path, overwrite=overwrite))
            return
        atomic = atomic_folder if kind is ImageFormat.DICOM else atomic_file
        temporary = stack.enter_context(atomic(path, overwrite=overwrite))
        spool = Spool(temporary.parent)
        stack.callback(spool.close)
        output = SeriesOutput(path, kind, spool, keep_identity=form.keep_identity)
        yield output
        if not len(spool):
            raise ValueError(f"write_images takes at least one image, got none for {path}")
        output.write(temporary)
