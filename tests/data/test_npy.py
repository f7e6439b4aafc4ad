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
        np.testing.assert_array_equal(array.read(index, "a slice"), values[index])
    np.testing.assert_array_equal(array.read(None, "all"), values)


def test_slices_in_fortrans_order_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medrecon.data.npy._BLOCK", 1000)
    np.save(tmp_path / "a.npy", np.asfortranarray(VALUES))
    np.testing.assert_array_equal(ArraySource(tmp_path / "a.npy").read(1, "slice 1"), VALUES[1])


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
    array.read(0, "slice 0")
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-4000])
    with pytest.raises(ChangedError, match=r"a\.npy: was written to while it was read, from 24128 bytes to 20128"):
        array.read(2, "slice 2")
