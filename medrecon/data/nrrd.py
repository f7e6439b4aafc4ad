"""Read CT volumes in Hounsfield units from NRRD files, as 3D Slicer and ITK write them."""

import gzip
import os
import re
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medrecon.data.volume import CTVolume, lay_out
from medrecon.errors import InputError

__all__ = ["read_nrrd"]

_TYPES = {
    "short": "i2",
    "int16": "i2",
    "signed short": "i2",
    "unsigned short": "u2",
    "int": "i4",
    "float": "f4",
    "double": "f8",
}
_TO_LPS = {"left-posterior-superior": (1, 1, 1), "right-anterior-superior": (-1, -1, 1)}


def read_nrrd(path: str | os.PathLike[str]) -> CTVolume:
    """Read a volume in Hounsfield units, turned to `(z, y, x)` by the file's space directions.

    Three axes, header and values in one file, raw or compressed by gzip.
    https://teem.sourceforge.net/nrrd/format.html

    Raises
    ------
    InputError
        If the file is not such a one, or cut short, or holds NaN or infinite values.
    """
    path = Path(path)
    try:
        head, separator, body = path.read_bytes().partition(b"\n\n")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({(error.strerror or str(error)).lower()}); check its name"
        ) from error
    if not head.startswith(b"NRRD") or not separator:
        raise InputError(f"{path}: is not an NRRD file with header and values in one; convert it to NIfTI")
    fields = dict(re.findall(r"^([^#:\r\n]+): (.*?)\r?$", head.decode("ascii", "replace"), re.MULTILINE))
    try:
        values, steps = _values(fields, body), _steps(fields)
        if not np.isfinite(values).all():
            raise ValueError("its values are NaN or infinite in places")
        return lay_out(values, steps)
    except (KeyError, ValueError, EOFError, OSError, zlib.error) as error:
        reason = f"lacks the field {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise InputError(
            f"{path}: is cut short, or of a kind not known here ({reason}); convert it to NIfTI"
        ) from error


def _values(fields: dict[str, str], body: bytes) -> NDArray[np.float32]:
    sizes = [int(size) for size in fields["sizes"].split()]
    if len(sizes) != 3:
        raise ValueError(f"{len(sizes)} axes, not three")
    match fields["encoding"]:
        case "raw":
            content = body
        case "gzip" | "gz":
            content = gzip.decompress(body)
        case other:
            raise ValueError(f"encoding {other}")
    order = {"little": "<", "big": ">"}[fields.get("endian", "little")]
    if fields["type"] not in _TYPES:
        raise ValueError(f"type {fields['type']}")
    stored = np.frombuffer(content, order + _TYPES[fields["type"]])
    if stored.size != np.prod(sizes):
        raise ValueError(f"{stored.size} values, and sizes {sizes}")
    return stored.reshape(sizes[::-1]).T.astype(np.float32)


def _steps(fields: dict[str, str]) -> NDArray[np.float64]:
    vectors = re.findall(r"\(([^)]*)\)", fields["space directions"])
    steps = np.array([[float(number) for number in vector.split(",")] for vector in vectors])
    if steps.shape != (3, 3) or fields["space"] not in _TO_LPS:
        raise ValueError(f"space {fields['space']}, directions {fields['space directions']}")
    return steps * np.array(_TO_LPS[fields["space"]], dtype=np.float64)
