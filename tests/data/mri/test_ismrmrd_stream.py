"""Streams of MRD version 1 hold what HDF5 holds, and are refused where they are cut short."""

from pathlib import Path

import ismrmrd
import numpy as np
import pytest
import torch
from ismrmrd.serialization import ConfigFile, ConfigText, ProtocolSerializer

from medrecon.data.formats import Format, find_format, open_kspace
from medrecon.errors import InputError
from tests.raw_files import acquisition, header, lines, scan, write_raw

SHAPE = (32, 24)


def write_stream(path: Path, *first: object, trajectory: bool = False) -> Path:
    xml = ismrmrd.xsd.CreateFromDocument(header((*SHAPE, 1)))
    with ProtocolSerializer(str(path)) as stream:
        for message in (*first, xml, ismrmrd.Waveform.from_array(np.arange(12, dtype=np.uint32).reshape(3, 4))):
            stream.serialize(message)
        for number, readout in enumerate(lines(scan(SHAPE))):
            made = acquisition(readout, number)
            if trajectory:
                made.resize(32, 4, 2)
                made.data[:] = readout.samples
            stream.serialize(made)
            if number == 5:
                stream.serialize("a word in between")
    return path


@pytest.mark.parametrize(
    "first", [(), (ConfigFile("default.xml"),), (ConfigText("<a/>"),), (ConfigText("x" * 20_000),)]
)
def test_a_stream_is_what_the_file_is(tmp_path: Path, first: tuple[object, ...]) -> None:
    path = write_stream(tmp_path / "a.mrd", *first, trajectory=bool(first))
    assert find_format(path) is Format.MRD_STREAM
    file = open_kspace(path)
    same = open_kspace(write_raw(tmp_path / "a.h5", header((*SHAPE, 1)), lines(scan(SHAPE))))
    assert torch.equal(file[0].kspace, same[0].kspace)
    assert file.header == same.header
    assert file.prescription == same.prescription
    assert file.notes == ()


def test_streams_that_are_cut_short(tmp_path: Path) -> None:
    data = write_stream(tmp_path / "a.mrd").read_bytes()
    (tmp_path / "a.mrd").write_bytes(data[:-2])
    assert open_kspace(tmp_path / "a.mrd").notes == ("the stream is not closed, as if more was to come",)
    for left, words in (
        (len(data) - 100, "cut short after 23 readouts, in a message of kind 1008"),
        (200, "cut short after 0"),
    ):
        (tmp_path / "a.mrd").write_bytes(data[:left])
        with pytest.raises(InputError, match=words):
            open_kspace(tmp_path / "a.mrd")
    (tmp_path / "a.mrd").write_bytes(data[:-2] + b"\x39\x30" + data)
    with pytest.raises(InputError, match="a message of kind 12345"):
        open_kspace(tmp_path / "a.mrd")


def test_version_2_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mrd").write_bytes(b"yardl\1" + bytes(100))
    with pytest.raises(InputError, match="a stream of MRD version 2, and version 1 is read"):
        find_format(tmp_path / "a.mrd")
