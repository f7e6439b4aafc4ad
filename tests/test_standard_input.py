"""`-` among the inputs: a pipe brings what a file would hold."""

import io
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from medrecon.data.cfl import BartAxis, write_cfl
from tests.kspace_files import simulated_scan
from tests.program import Finished, medrecon

KSPACE = simulated_scan((48, 40), acceleration=1, n_coils=2).kspace.numpy().astype(np.complex64)


class _Pipe(io.TextIOWrapper):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes, *arguments: object) -> Finished:
    monkeypatch.setattr(sys, "stdin", _Pipe(data))
    return medrecon(*arguments)


def test_an_array_and_a_pair_of_bart_come_through_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "k.npy", KSPACE)
    write_cfl(tmp_path / "k.cfl", KSPACE, (BartAxis.COIL, BartAxis.READ, BartAxis.PHS1))
    pair = (tmp_path / "k.hdr").read_bytes() + b"# Command\nphantom\n\n" + (tmp_path / "k.cfl").read_bytes()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    images = []
    for data, axes in (((tmp_path / "k.npy").read_bytes(), ("--axes", "coil,y,x")), (pair, ())):
        assert "1 slice" in piped(monkeypatch, data, "inspect", "-", *axes).out
        asked = ("reconstruct", "-", "-o", tmp_path / "o.h5", "--method", "rss", "--overwrite", *axes)
        done = piped(monkeypatch, data, *asked)
        assert done.status == 0, done.err
        with h5py.File(tmp_path / "o.h5") as file:
            images.append(file["reconstruction"][:])
    np.testing.assert_array_equal(images[0], images[1])
    assert not list(tmp_path.glob("medrecon-*"))


def test_what_is_wrong_with_a_pipe_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "brought nothing" in piped(monkeypatch, b"", "inspect", "-").complaint
    assert "without sizes" in piped(monkeypatch, b"# Dimensions\n", "inspect", "-").complaint
    assert "it was cut short" in piped(monkeypatch, b"# Dimensions\n4 4\n1234", "inspect", "-").complaint
    assert "is given twice" in piped(monkeypatch, b"1", "reconstruct", "-", "-", "-o", tmp_path / "o").complaint
    assert "is not an HDF5 file" in piped(monkeypatch, b"nonsense" * 9, "inspect", "-").complaint
    monkeypatch.setattr("medrecon.commands.standard_input._LEFT", 2**62)
    assert "has room for" in piped(monkeypatch, b"1", "inspect", "-").complaint
