"""What an HDF5 file may lead to, what it may state, and that it is the same one from first to last."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from medrecon.data.hdf5 import HDF5Source
from medrecon.errors import ChangedError, InputError

VALUES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
Edit = Callable[[h5py.File], object]


def write(path: Path, edit: Edit) -> Path:
    with h5py.File(path, "w") as file:
        edit(file)
    return path


def source(path: Path, *, allowed: bool = False) -> HDF5Source:
    return HDF5Source(path, "a scan", allow_external=allowed)


def read(path: Path, *, allowed: bool = False, name: str = "x", index: int | None = 1) -> np.ndarray:
    with source(path, allowed=allowed).open() as file:
        return file.read(name, index, "slice 1")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    (tmp_path / "below").mkdir()
    return write(tmp_path / "below" / "other.h5", lambda file: file.create_dataset("y", data=VALUES))


def virtual(file: h5py.File, name: str, *sources: tuple[str, str]) -> None:
    layout = h5py.VirtualLayout(VALUES.shape, "f4")
    for k, (path, inside) in enumerate(sources):
        rows = slice(k, k + 1) if len(sources) > 1 else slice(None)
        layout[rows] = h5py.VirtualSource(path, inside, VALUES.shape)[rows]
    file.create_virtual_dataset(name, layout)


def stored_outside(file: h5py.File, path: str) -> None:
    file.create_dataset("x", VALUES.shape, "f4", external=[(path, 0, VALUES.nbytes)])


def through_a_group(file: h5py.File) -> None:
    file["door"] = h5py.ExternalLink("below/other.h5", "/")
    file["x"] = h5py.SoftLink("/door/y")


OUTSIDE: dict[str, tuple[Edit, str]] = {
    "link": (
        lambda file: file.__setitem__("x", h5py.ExternalLink("below/other.h5", "/y")),
        r"`x` is a link to below/other\.h5:/y, in another file; give --allow-external",
    ),
    "link by a link": (through_a_group, r"`door` is a link to below/other\.h5:/, in another file"),
    "virtual": (
        lambda file: virtual(file, "x", ("below/other.h5", "y")),
        r"`x` is a virtual data set, its numbers lie in below/other\.h5; synchrotrons often write such.*give --allow-external",
    ),
    "virtual of two": (
        lambda file: virtual(file, "x", ("below/other.h5", "y"), ("below/./other.h5", "y")),
        r"`x` is a virtual data set, its numbers lie in below/other\.h5 and 1 other file; synchrotrons",
    ),
    "storage": (
        lambda file: stored_outside(file, "below/raw.bin"),
        r"`x` is stored in another file, below/raw\.bin; give --allow-external",
    ),
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_nothing_outside_the_file_is_read_unless_that_is_allowed(tmp_path: Path, other: Path, kind: str) -> None:
    edit, says = OUTSIDE[kind]
    VALUES.tofile(other.with_name("raw.bin"))
    path = write(tmp_path / "a.h5", edit)
    with pytest.raises(InputError, match=rf"a\.h5: {says}"):
        read(path)
    before = Path.cwd()
    os.chdir("/")  # names are taken from the folder of the file
    try:
        np.testing.assert_array_equal(read(path, allowed=True), VALUES[1])
    finally:
        os.chdir(before)


@pytest.mark.parametrize("kind", OUTSIDE)
def test_what_is_allowed_and_is_not_there_is_named_and_is_no_zeros(tmp_path: Path, other: Path, kind: str) -> None:
    path = write(tmp_path / "a.h5", OUTSIDE[kind][0])
    other.unlink()
    with pytest.raises(InputError, match=r"(other\.h5|raw\.bin).* not there.*; copy it too$"):
        read(path, allowed=True)


def test_storage_that_is_cut_short_is_no_zeros(tmp_path: Path, other: Path) -> None:
    VALUES[:1].tofile(other.with_name("raw.bin"))
    with pytest.raises(InputError, match=r"`x` is stored in .*raw\.bin, which is not there whole; copy it too"):
        read(write(tmp_path / "a.h5", OUTSIDE["storage"][0]), allowed=True)


def test_a_virtual_set_of_the_same_file_needs_no_leave(tmp_path: Path) -> None:
    def edit(file: h5py.File) -> None:
        file["own"] = VALUES
        virtual(file, "x", (".", "own"))

    np.testing.assert_array_equal(read(write(tmp_path / "a.h5", edit)), VALUES[1])


def test_raw_storage_behind_a_virtual_set_that_is_cut_short_is_no_zeros(tmp_path: Path, other: Path) -> None:
    VALUES[:1].tofile(other.with_name("raw.bin"))
    write(tmp_path / "between.h5", lambda file: stored_outside(file, "below/raw.bin"))
    path = write(tmp_path / "a.h5", lambda file: virtual(file, "x", ("between.h5", "x")))
    with pytest.raises(InputError, match=r"`x` is stored in .*raw\.bin, which is not there whole; copy it too"):
        read(path, allowed=True)


def made_of_each_other(file: h5py.File) -> None:
    virtual(file, "x", (".", "z"))
    virtual(file, "z", (".", "x"))


@pytest.mark.parametrize("edit", [lambda file: virtual(file, "x", (".", "x")), made_of_each_other])
def test_a_virtual_set_that_is_made_of_itself_does_not_end_the_program(tmp_path: Path, edit: Edit) -> None:
    path = write(tmp_path / "a.h5", edit)
    with pytest.raises(InputError, match="`x` is a virtual data set that is made of itself"):
        read(path)
    with pytest.raises(InputError, match="that is made of itself; write it as an ordinary data set"):
        read(path, allowed=True)


LINKS: dict[str, tuple[Edit, str]] = {
    "nowhere": (lambda file: file.__setitem__("x", h5py.SoftLink("/a/b")), "a link to /a/b, which is not there; copy"),
    "itself": (lambda file: file.__setitem__("x", h5py.SoftLink("/x")), "a link that leads back to itself"),
    "a group": (lambda file: file.create_group("x"), "is a group, and a data set is wanted"),
    "a type": (lambda file: file.__setitem__("x", np.dtype("f4")), "is a type, and a data set is wanted"),
    "null": (lambda file: file.__setitem__("x", h5py.Empty("f4")), "is empty, it has no shape"),
}


@pytest.mark.parametrize("kind", LINKS)
def test_names_that_are_no_arrays_are_told(tmp_path: Path, kind: str) -> None:
    edit, says = LINKS[kind]
    with pytest.raises(InputError, match=rf"a\.h5: `x` (is )?.*{says}"):
        read(write(tmp_path / "a.h5", edit))


def test_links_of_the_file_itself_are_followed_and_cycles_of_groups_do_not_hang(tmp_path: Path) -> None:
    def edit(file: h5py.File) -> None:
        file["deep/y"] = VALUES
        file["deep/again"] = file["deep"]
        file["deep/top"] = file["/"]
        file["x"] = h5py.SoftLink("deep/again/top/deep/./y")

    path = write(tmp_path / "a.h5", edit)
    np.testing.assert_array_equal(read(path), VALUES[1])
    with source(path).open() as file:
        assert file.names == "deep, x"
        assert file.dataset("none") is None
        assert not file.holds("deep")


def bomb(shape: tuple[int, ...], written: int = 0) -> Edit:
    def edit(file: h5py.File) -> None:
        chunks = (1, *(min(n, 64) for n in shape[1:]))
        data = file.create_dataset("x", shape, "c8", chunks=chunks, compression="gzip", fillvalue=np.complex64(1))
        for k in range(written):
            data[k, :64, :64] = 0

    return edit


@pytest.mark.parametrize("shape", [(10**9, 8, 8), (1, 10**9, 8), (2, 10**5, 10**5), (2**40, 1, 1), (3000, 64, 64)])
def test_sizes_of_which_the_file_holds_nothing_are_refused_before_they_are_read(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = write(tmp_path / "a.h5", bomb(shape, written=1))
    with pytest.raises(InputError, match=r"`x` is \(.*\), .*iB, of which the file holds .*: it was never written"):
        read(path)


def test_a_part_that_was_never_written_does_not_spoil_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", bomb((40, 64, 64), written=2))
    assert not read(path).any()


def test_a_slice_that_does_not_fit_is_refused_with_what_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.h5", lambda file: file.create_dataset("x", data=np.ones((3, 64, 64), np.complex64)))
    monkeypatch.setattr("medrecon.memory.available_memory", lambda: 2**16)
    monkeypatch.setattr("medrecon.memory._SMALL", 2**10)
    says = r"`x` is \(3, 64, 64\), and to read one slice takes 96\.0 KiB of memory, and 64\.0 KiB are free; slices of up to 2730 "
    with source(path).open() as file, pytest.raises(InputError, match=says):
        file.require_slices("x", file.dataset("x"), 2, 16)


def test_too_many_slices_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.h5", lambda file: file.create_dataset("x", data=VALUES))
    monkeypatch.setattr("medrecon.data.foreign._MOST_SLICES", 1)
    with source(path).open() as file, pytest.raises(InputError, match=r"`x` is \(2, 3, 4\), and at most 1 slices"):
        file.require_slices("x", file.dataset("x"), 2, 0)


def test_attributes_are_short_plain_values(tmp_path: Path) -> None:
    def edit(file: h5py.File) -> None:
        file.attrs.update(
            {"text": b"\xff\xfe\x80", "number": np.float32(2.5), "empty": h5py.Empty("f4"), "list": [1, 2]}
        )

    with source(write(tmp_path / "a.h5", edit)).open() as file:
        found = file.attributes(("text", "number", "empty", "list", "none"))
    assert found["text"].encode("utf-8")
    assert {**found, "text": ""} == {"text": "", "number": 2.5, "list": [1, 2]}


def test_names_in_messages_are_few_and_printable(tmp_path: Path) -> None:
    def edit(file: h5py.File) -> None:
        for k in range(500):
            file.create_group(f"{k:03d}" + "\x1b" * 500)

    with source(write(tmp_path / "a.h5", edit)).open() as file:
        assert len(file.names) < 400
        assert file.names.isprintable()
        assert file.names.endswith(" and 492 more")


def replaced(path: Path) -> None:
    shutil.copy(path, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 8)


def touched(path: Path) -> None:
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize("change", [replaced, cut, touched])
@pytest.mark.parametrize("when", ["between", "within"])
def test_a_file_that_changes_is_read_no_further(tmp_path: Path, change: Callable[[Path], None], when: str) -> None:
    path = write(tmp_path / "a.h5", lambda file: file.create_dataset("x", data=VALUES))
    one = source(path)
    with one.open() as file:
        file.read("x", 0)
    one = pickle.loads(pickle.dumps(one))
    words = r"a\.h5: was (replaced by another|written to) while it was read"
    if when == "between":
        change(path)
        with pytest.raises(ChangedError, match=words), one.open() as file:
            file.read("x", 1)
    else:
        with pytest.raises(ChangedError, match=words), one.open():
            change(path)


def test_a_source_of_a_virtual_set_that_changes_is_noticed_too(tmp_path: Path, other: Path) -> None:
    one = source(write(tmp_path / "a.h5", OUTSIDE["virtual"][0]), allowed=True)
    with one.open() as file:
        file.read("x", 0)
    replaced(other)
    with pytest.raises(ChangedError, match=r"other\.h5: was replaced by another"), one.open() as file:
        file.read("x", 1)


def test_a_file_that_another_program_writes_is_said_to_be(tmp_path: Path) -> None:
    code = (
        "import h5py, sys\n"
        "with h5py.File(sys.argv[1], 'w') as file:\n"
        "    file['x'] = [1.0]\n"
        "    file.flush()\n"
        "    print('open', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    path = tmp_path / "a.h5"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        with pytest.raises(InputError, match=r"a\.h5: is being written by another program; wait until that is done"):
            read(path)
        writer.communicate()


def test_a_damaged_slice_is_one_line(tmp_path: Path) -> None:
    def edit(file: h5py.File) -> None:
        file.create_dataset("x", data=np.arange(2048.0).reshape(2, 32, 32), chunks=(1, 32, 32), compression="gzip")

    path = write(tmp_path / "a.h5", edit)
    with h5py.File(path) as file:
        chunk = file["x"].id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + 20 : chunk.byte_offset + 60] = bytes(40)
    path.write_bytes(content)
    assert read(path, index=0)[1, 1] == 33
    with pytest.raises(InputError, match=r"a\.h5: slice 1 cannot be read, .*damaged.*; fetch it again$") as caught:
        read(path)
    assert "\n" not in str(caught.value)
