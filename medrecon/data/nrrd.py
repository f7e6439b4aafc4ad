"""Read CT volumes in Hounsfield units from NRRD files, as 3D Slicer and ITK write them."""

import math
import os
import re
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from medrecon.data.foreign import reading, require_held
from medrecon.data.identity import SameFiles
from medrecon.data.volume import CTVolume, lay_out
from medrecon.errors import InputError
from medrecon.memory import require_memory
from medrecon.words import shortened

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
_BYTES = 8  # of a value in memory beside itself, while it is laid out
_LONGEST_HEADER, _LARGEST = 2**20, 2**31
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
    same = SameFiles()
    with reading(path, "its NRRD volume", "convert it to NIfTI"), path.open("rb") as file:
        n_bytes = same.require(path, file.fileno())
        head, separator, _ = file.read(_LONGEST_HEADER).partition(b"\n\n")
        fields = dict(re.findall(r"^([^#:\r\n]+): (.*?)\r?$", head.decode("ascii", "replace"), re.MULTILINE))
        if head.startswith(b"NRRD") and (apart := fields.get("data file", fields.get("datafile"))) is not None:
            where = "other files" if apart.startswith("LIST") or "%" in apart else shortened(apart)
            raise InputError(
                f"{path}: is the header alone, its values lie in {where}; save both as one .nrrd, or convert it to NIfTI"
            )
        if not head.startswith(b"NRRD") or not separator:
            raise InputError(f"{path}: is not an NRRD file with header and values in one; convert it to NIfTI")
        file.seek(len(head) + len(separator))
        values, steps = _values(path, fields, file, n_bytes), _steps(fields)
        same.require(path)
    if not np.isfinite(values).all():
        raise InputError(f"{path}: its values are NaN or infinite in places; fill them with -1024 HU first")
    try:
        return lay_out(values, steps)
    except ValueError as error:
        raise InputError(f"{path}: {error}; convert it to NIfTI") from error


def _values(path: Path, fields: dict[str, str], file: BinaryIO, n_bytes: int) -> NDArray[np.float32]:
    """Read as many values as the header says, and no further."""
    sizes = [int(size) for size in _field(fields, "sizes").split()]
    if len(sizes) != 3 or min(sizes) < 1 or max(sizes) > _LARGEST:
        raise ValueError(f"sizes {shortened(sizes)}, not three axes")
    if (kind := _field(fields, "type")) not in _TYPES:
        raise ValueError(f"type {kind}")
    stored = np.dtype({"little": "<", "big": ">"}[fields.get("endian", "little")] + _TYPES[kind])
    numbers = math.prod(sizes)
    require_held(f"{path}: states the sizes {sizes}", numbers * stored.itemsize, n_bytes)
    require_memory(
        numbers * (stored.itemsize + _BYTES) + n_bytes,
        f"{path}: states the sizes {sizes}, and to read it",
        lambda free: f"{free // (stored.itemsize + _BYTES)} values fit",
    )
    match _field(fields, "encoding"):
        case "raw":
            content = file.read(numbers * stored.itemsize + 1)
        case "gzip" | "gz":
            content = _unpacked(file.read(), numbers * stored.itemsize + 1)
        case other:
            raise ValueError(f"encoding {other}")
    if len(content) != numbers * stored.itemsize:
        count = "more" if len(content) > numbers * stored.itemsize else len(content) // stored.itemsize
        raise ValueError(f"{count} values, and sizes {sizes}")
    return np.frombuffer(content, stored).reshape(sizes[::-1]).T.astype(np.float32)


def _unpacked(packed: bytes, most: int) -> bytes:
    """The members of a gzip file, no more than so many bytes of them."""
    content = b""
    while packed and len(content) < most:
        member = zlib.decompressobj(wbits=31)
        content += member.decompress(packed, most - len(content))
        if not member.eof and len(content) < most:
            raise EOFError("its packed values end too early")
        packed = member.unused_data.lstrip(b"\0")
    return content


def _steps(fields: dict[str, str]) -> NDArray[np.float64]:
    vectors = re.findall(r"\(([^)]*)\)", _field(fields, "space directions"))
    steps = np.array([[float(number) for number in vector.split(",")] for vector in vectors])
    if steps.shape != (3, 3) or _field(fields, "space") not in _TO_LPS:
        raise ValueError(f"space {fields['space']}, directions {fields['space directions']}")
    return steps * np.array(_TO_LPS[fields["space"]], dtype=np.float64)


def _field(fields: dict[str, str], name: str) -> str:
    if name not in fields:
        raise ValueError(f"lacks the field '{name}'")
    return fields[name]
