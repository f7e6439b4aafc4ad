"""Arrays of `.npy`: what their header may state, and that a slice is read as NumPy would."""

from pathlib import Path

import numpy as np
import pytest

from medrecon.data.npy import ArraySource
from medrecon.errors import ChangedError, InputError

VALUES = np.random.default_rng(1).normal(size=(3, 50, 40)).astype(np.float32)


def write(path: Path, shape: object, kind: str = "<f4", order: object = False, n_bytes: int = 400) -> Path:
    header = f"{{'descr': {kind!r}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    path.write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + bytes(n_bytes))
    return path


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f4", ">f8", "<i2"])
def test_a_slice_is_that_of_numpy(tmp_path: Path, order: str, kind: str) -> None:
    values = np.asarray(VALUES * 100, dtype=kind, order=order)  # type: ignore[call-overload]
    np.save(tmp_path / "a.npy", values)
    array = ArraySource(tmp_path / "a.npy")
    assert (array.shape, array.dtype) == (values.shape, values.dtype)
    for index in range(3):
        np.testing.assert_array_equal(array.read({0: range(index, index + 1)}, "a slice"), values[index : index + 1])
    np.testing.assert_array_equal(array.read({1: range(3, 9), 2: range(7, 8)}, "a part"), values[:, 3:9, 7:8])
    np.testing.assert_array_equal(array.read({}, "all"), values)


def test_slices_in_fortrans_order_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medrecon.data.stored._BLOCK", 1000)
    np.save(tmp_path / "a.npy", np.asfortranarray(VALUES))
    np.testing.assert_array_equal(ArraySource(tmp_path / "a.npy").read({0: range(1, 2)}, "slice 1"), VALUES[1:2])


@pytest.mark.parametrize("run", [1, 2**15])
@pytest.mark.parametrize("order", ["C", "F"])
def test_parts_of_any_axes_are_those_of_numpy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, run: int
) -> None:
    monkeypatch.setattr("medrecon.data.stored._BLOCK", 1000)
    monkeypatch.setattr("medrecon.data.stored._RUN", run)
    values = np.asarray(np.arange(4 * 5 * 6 * 7).reshape(4, 5, 6, 7), order=order)  # type: ignore[call-overload]
    np.save(tmp_path / "a.npy", values)
    array = ArraySource(tmp_path / "a.npy")
    for where in ({}, {0: range(2)}, {3: range(6, 7)}, {1: range(1, 3), 2: range(5, 6)}, {0: range(1, 4), 3: range(2)}):
        index = tuple(slice(where[k].start, where[k].stop) if k in where else slice(None) for k in range(4))
        np.testing.assert_array_equal(array.read(where, "a part"), values[index])


@pytest.mark.parametrize(
    ("shape", "kind", "says"),
    [
        ((10**9, 24, 34), "<f4", r"or cut short: it states \(1000000000, 24, 34\) float32, \d+ bytes, and has 400"),
        ((10**23, 34), "<f4", "or cut short"),
        ((-1, 100), "<f4", "its shape is"),
        ((10, 10), "|O", "holds Python objects"),
        ("'x'", "<f4", "cannot be read"),
        ((10, 10), "nonsense", "cannot be read"),
        ((10**7, 0, 1), "<f4", "at most 1000000 slices are taken"),
    ],
)
def test_headers_that_cannot_be_are_refused_at_once(tmp_path: Path, shape: object, kind: str, says: str) -> None:
    with pytest.raises(InputError, match=rf"a\.npy: .*{says}"):
        ArraySource(write(tmp_path / "a.npy", shape, kind))


def test_an_archive_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", VALUES)
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(InputError, match=r"a\.npy: is an archive of arrays"):
        ArraySource(tmp_path / "a.npy")


def test_a_file_that_is_cut_between_two_slices_is_read_no_further(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VALUES)
    array = ArraySource(tmp_path / "a.npy")
    array.read({0: range(0, 0 + 1)}, "slice 0")
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-4000])
    with pytest.raises(ChangedError, match=r"a\.npy: was written to while it was read, from 24128 bytes to 20128"):
        array.read({0: range(2, 2 + 1)}, "slice 2")
