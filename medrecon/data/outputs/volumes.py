"""Files of one volume: NIfTI, MetaImage, NRRD and NumPy's, written slice by slice as they lie on the disk: x runs fastest."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import nibabel
import numpy as np
from nibabel.nifti1 import Nifti1Extension
from nibabel.spatialimages import HeaderDataError

from medrecon._version import __version__
from medrecon.affine import Vector
from medrecon.data.outputs.series import NOT_FOR_DIAGNOSIS, ImageSeries

__all__ = ["write_metaimage", "write_nifti_series", "write_npy", "write_nrrd"]

_COMMENT = 6  # NIfTI's code of an extension in plain text
_LONGEST = 79  # bytes of NIfTI's `descrip`, beside the zero at its end
_LONGEST_COMMENT = 400  # characters: ITK reads no header of 500


def write_nifti_series(path: Path, series: ImageSeries, *, compressed: bool) -> None:
    """Write NIfTI-1, float32: sform and qform are both the affine in millimeters, of scanner coordinates (code 1).

    What was done stands in an extension as JSON.
    """
    header: Any = nibabel.Nifti1Header()  # type: ignore[no-untyped-call]
    y, x = series.images.shape
    header.set_data_dtype(np.float32)
    header.set_data_shape((x, y, len(series.images)))
    affine = series.planes.volume()
    header.set_sform(affine.ras, 1)
    try:
        header.set_qform(affine.ras, 1, strip_shears=False)
    except HeaderDataError:  # a quaternion cannot say how slices are sheared
        header.set_qform(None)
        header.set_zooms(affine.spacing)
    header.set_xyzt_units("mm", "sec")
    header["descrip"] = series.description.encode("ascii", "replace")[:_LONGEST]
    header["cal_min"], header["cal_max"] = series.images.low, series.images.high
    header.extensions.append(Nifti1Extension(_COMMENT, json.dumps(_told(series), indent=1).encode("utf-8")))
    _write(path, series, header.write_to, compressed=compressed)


def write_metaimage(path: Path, series: ImageSeries) -> None:
    """Write MetaImage, float32, header and values in one file; ITK's coordinates are LPS.

    https://itk.org/Wiki/ITK/MetaIO/Documentation
    """
    y, x = series.images.shape
    affine = series.planes.volume()
    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": " ".join(_numbers(direction) for direction in affine.directions),
        "Offset": _numbers(affine.origin),
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": _numbers(affine.spacing),
        "DimSize": f"{x} {y} {len(series.images)}",
        "Comment": _line(series)[:_LONGEST_COMMENT],
        "ElementType": "MET_FLOAT",
        "ElementDataFile": "LOCAL",
    }
    text = "".join(f"{name} = {value}\n" for name, value in fields.items())
    _write(path, series, lambda file: file.write(text.encode("ascii")))


def write_nrrd(path: Path, series: ImageSeries) -> None:
    """Write NRRD, float32, header and values in one file; what was done stands in keys and values.

    https://teem.sourceforge.net/nrrd/format.html
    """
    y, x = series.images.shape
    affine = series.planes.volume()
    steps = " ".join(f"({_numbers(step, ',')})" for step in (affine.x, affine.y, affine.z))
    lines = [
        "NRRD0005",
        "type: float",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {x} {y} {len(series.images)}",
        f"space directions: {steps}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: raw",
        f"space origin: ({_numbers(affine.origin, ',')})",
        f"medrecon:={_line(series)}",
    ]
    _write(path, series, lambda file: file.write(("\n".join(lines) + "\n\n").encode("ascii")))


def write_npy(path: Path, series: ImageSeries) -> None:
    """Write an array `(slice, y, x)`, float32, of NumPy."""
    shape = (len(series.images), *series.images.shape)
    head = {"descr": "<f4", "fortran_order": False, "shape": shape}
    _write(path, series, lambda file: np.lib.format.write_array_header_1_0(file, head))


def _write(path: Path, series: ImageSeries, head: Callable[[BinaryIO], object], *, compressed: bool = False) -> None:
    with path.open("wb") as plain:
        if not compressed:
            head(plain)
            plain.writelines(image.tobytes() for image in series.images)
            return
        with gzip.GzipFile("", "wb", 6, plain, mtime=0) as packed:
            head(packed)  # type: ignore[arg-type]  # it is written to alone
            packed.writelines(image.tobytes() for image in series.images)


def _told(series: ImageSeries) -> dict[str, object]:
    """What is known of the images, in plain values."""
    notes = list(series.planes.notes)
    return {"medrecon": __version__, "note": NOT_FOR_DIAGNOSIS, **series.attributes, "geometry": notes}


def _line(series: ImageSeries) -> str:
    """The same on a line of ASCII."""
    return json.dumps(_told(series)).replace("\n", " ")


def _numbers(vector: Vector, between: str = " ") -> str:
    return between.join(f"{number:.12g}" for number in vector)
