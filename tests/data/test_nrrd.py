"""NRRD volumes of CT."""

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from medrecon.data.nrrd import read_nrrd
from medrecon.errors import InputError

SHAPE = (3, 4, 5)  # z, y, x
VALUES = (np.arange(60).reshape(SHAPE) * 20 - 1000).astype("<i2")
HEADER = """NRRD0004
# a comment: with a colon
type: {type}
dimension: 3
space: {space}
sizes: 5 4 3
space directions: ({x},0,0) (0,{y},0) (0,0,2.5)
endian: little
encoding: {encoding}
space origin: (0,0,0)
"""


def _write(path: Path, content: bytes = VALUES.tobytes(), **fields: object) -> Path:
    stated = {"type": "short", "space": "left-posterior-superior", "encoding": "raw", "x": 0.5, "y": 0.75} | fields
    path.write_bytes(HEADER.format(**stated).encode() + b"\n" + content)
    return path


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_a_volume_is_read(tmp_path: Path, encoding: str) -> None:
    content = gzip.compress(VALUES.tobytes()) if encoding == "gzip" else VALUES.tobytes()
    volume = read_nrrd(_write(tmp_path / "a.nrrd", content, encoding=encoding))
    assert torch.equal(volume.hounsfield, torch.from_numpy(VALUES.astype(np.float32)))
    assert volume.spacing == (2.5, 0.75, 0.5)


def test_another_orientation_is_turned(tmp_path: Path) -> None:
    volume = read_nrrd(_write(tmp_path / "a.nrrd", space="right-anterior-superior", y=-0.75))
    assert torch.equal(volume.hounsfield, torch.from_numpy(VALUES[:, :, ::-1].astype(np.float32)))


@pytest.mark.parametrize(
    ("content", "fields", "says"),
    [
        (VALUES.tobytes()[:-2], {}, r"59 values, and sizes \[5, 4, 3\]"),
        (gzip.compress(VALUES.tobytes())[:-12], {"encoding": "gzip"}, "cut short"),
        (b"", {"encoding": "hex"}, "encoding hex"),
        (VALUES.tobytes(), {"type": "block"}, "type block"),
        (VALUES.tobytes(), {"space": "scanner-xyz"}, "space scanner-xyz"),
        (VALUES.tobytes(), {"x": 0}, "do not span space"),
        (np.full(60, np.nan, "<f4").tobytes(), {"type": "float"}, "NaN or infinite"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: bytes, fields: dict[str, object], says: str) -> None:
    path = _write(tmp_path / "a.nrrd", content, **fields)
    with pytest.raises(
        InputError, match=rf"a\.nrrd: its NRRD volume cannot be read, .*{says}.*; convert it to NIfTI|{says}"
    ):
        read_nrrd(path)


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("data file: a.raw", "a.raw"),
        ("datafile: b.raw.gz", "b.raw.gz"),
        ("data file: LIST", "other files"),
        ("data file: a%02d.raw 1 9 1", "other files"),
    ],
)
def test_a_header_without_its_values_is_told(tmp_path: Path, line: str, where: str, end: str) -> None:
    stated = {"type": "short", "space": "left-posterior-superior", "encoding": "raw", "x": 0.5, "y": 0.75}
    path = tmp_path / "a.nrrd"
    path.write_text(f"{HEADER.format(**stated)}{line}\n{end}")
    (tmp_path / "a.raw").write_bytes(VALUES.tobytes())
    with pytest.raises(InputError) as refused:
        read_nrrd(path)
    remedy = "save both as one .nrrd, or convert it to NIfTI"
    assert str(refused.value) == f"{path}: is the header alone, its values lie in {where}; {remedy}"


def test_what_is_not_nrrd_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_text("words")
    with pytest.raises(InputError, match=r"a\.nrrd: is not an NRRD file"):
        read_nrrd(tmp_path / "a.nrrd")
    with pytest.raises(InputError, match=r"b\.nrrd: does not exist; check its name"):
        read_nrrd(tmp_path / "b.nrrd")
    lacking = _write(tmp_path / "c.nrrd").read_bytes().replace(b"sizes: 5 4 3\n", b"")
    (tmp_path / "c.nrrd").write_bytes(lacking)
    with pytest.raises(InputError, match="lacks the field 'sizes'"):
        read_nrrd(tmp_path / "c.nrrd")


def test_packed_values_are_unpacked_no_further_than_the_header_says(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.nrrd", gzip.compress(bytes(2**26), 1), encoding="gzip")
    tracemalloc.start()
    with pytest.raises(InputError, match=r"more values, and sizes \[5, 4, 3\]"):
        read_nrrd(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


def test_packed_values_of_several_members_are_joined(tmp_path: Path) -> None:
    raw = VALUES.tobytes()
    volume = read_nrrd(_write(tmp_path / "a.nrrd", gzip.compress(raw[:50]) + gzip.compress(raw[50:]), encoding="gzip"))
    assert torch.equal(volume.hounsfield, torch.from_numpy(VALUES.astype(np.float32)))


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ("50000 50000 3", r"states the sizes \[50000, 50000, 3\], 14\.0 GiB, of which the file holds"),
        ("9" * 4000 + " 1 1", "not three axes"),
        ("9" * 5000 + " 1 1", "integer"),
        ("-5 -4 3", "not three axes"),
        ("5 4", "not three axes"),
    ],
)
def test_sizes_are_checked_before_anything_is_read(tmp_path: Path, sizes: str, says: str) -> None:
    path = _write(tmp_path / "a.nrrd")
    path.write_bytes(path.read_bytes().replace(b"sizes: 5 4 3", f"sizes: {sizes}".encode()))
    with pytest.raises(InputError, match=says) as caught:
        read_nrrd(path)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("step", ["1e308", "nan", "1e400", "1e-9"])
def test_steps_that_no_scanner_has_are_refused(tmp_path: Path, step: str) -> None:
    with pytest.raises(InputError, match=r"a\.nrrd: .*do not span space"):
        read_nrrd(_write(tmp_path / "a.nrrd", x=step))
