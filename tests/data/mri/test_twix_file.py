"""Raw data of Siemens: both layouts, all kinds of readouts, and what is wrong with a file."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from medrecon.data.formats import Format, find_format, open_kspace
from medrecon.errors import InputError
from tests.raw_files import fourier, inverse, scan
from tests.twix_files import RAMPS, Block, protocol, write_later, write_vb

BASE, LINES = 16, 24  # the readout is oversampled twice


def blocks(kspace: torch.Tensor, wanted: range = range(LINES), **facts: object) -> list[Block]:
    values = kspace.numpy()
    return [Block(values[:, :, line], line, center=(LINES // 2, 0), **facts) for line in wanted]


@pytest.mark.parametrize("is_vb", [False, True])
def test_both_layouts_hold_the_same(tmp_path: Path, is_vb: bool) -> None:
    kspace, header = scan((2 * BASE, LINES)), protocol(BASE, LINES)
    path = tmp_path / "meas.dat"
    if is_vb:
        write_vb(path, header, blocks(kspace))
    else:
        write_later(path, [(header, blocks(kspace))])
    assert find_format(path) is Format.TWIX
    file = open_kspace(path)
    assert torch.equal(file[0].kspace, kspace)
    assert (file.oversampling, file.matrix, file.header.acquisition) == (2, (16, 24), "made")
    assert file.header.recon_fov == (160.0, 240.0, 5.0)
    assert file.prescription is not None
    assert "siemens" in file.prescription.vendor.lower()
    [place] = file.prescription.slices
    assert place.position == (10.0, 0.0, -30.0)
    np.testing.assert_allclose(place.phase, (0, 1, 0), atol=1e-6)
    np.testing.assert_allclose(place.read, (-1, 0, 0), atol=1e-6)
    np.testing.assert_allclose(place.normal, (0, 0, 1), atol=1e-6)


def test_lines_before_the_center_may_be_missing(tmp_path: Path) -> None:
    kspace = scan((2 * BASE, LINES))
    values = kspace.numpy()
    made = [Block(values[:, :, line], line - 5, center=(LINES // 2 - 5, 0)) for line in range(5, LINES)]
    sample = open_kspace(write_later(tmp_path / "a.dat", [(protocol(BASE, LINES), made)]))[0]
    assert torch.equal(sample.kspace[..., 5:], kspace[..., 5:])
    assert not sample.kspace[..., :5].any()


def test_adjustments_before_the_scan_give_its_noise(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    noise = [Block(generator.normal(size=(4, 128)) + 1j, flags=("NOISEADJSCAN",)) for _ in range(3)]
    kspace, header = scan((2 * BASE, LINES)), protocol(BASE, LINES)
    path = write_later(
        tmp_path / "a.dat",
        [(protocol(BASE, LINES, dwell=8000), [*noise, Block(np.ones((2, 8)))]), (header, blocks(kspace))],
    )
    file = open_kspace(path)
    assert torch.equal(file[0].kspace, kspace)
    samples = np.concatenate([block.samples for block in noise], axis=1).astype(np.complex64)
    expected = samples @ samples.conj().T / (samples.shape[1] - 1) * 8 / (4 * 0.793)
    assert file.noise_covariance is not None
    np.testing.assert_allclose(file.noise_covariance.numpy(), expected, rtol=1e-5)
    assert file.notes[0].startswith("2 measurements: the last is the scan")


def test_partitions_of_a_slab(tmp_path: Path) -> None:
    images = torch.randn(6, 2, 2 * BASE, LINES, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    volume = fourier(images, (0, 2, 3)).numpy()
    made = [
        Block(volume[z, :, :, line], line, center=(LINES // 2, 3), counters={"Par": z})
        for line in range(LINES)
        for z in range(6)
    ]
    file = open_kspace(write_later(tmp_path / "a.dat", [(protocol(BASE, LINES, partitions=6, is_slab=True), made)]))
    assert file.shape[0] == 6
    for z in range(6):
        torch.testing.assert_close(inverse(file[z].kspace, (-2, -1)), images[z], atol=1e-5, rtol=0)


def test_calibration_lines_and_feedback_are_told_apart(tmp_path: Path) -> None:
    kspace = scan((2 * BASE, LINES))
    made = [*blocks(kspace, range(0, LINES, 2)), *blocks(kspace, range(9, 15, 2), flags=("PATREFSCAN",))]
    made += blocks(kspace, range(8, 16, 2), flags=("PATREFSCAN", "PATREFANDIMASCAN"))
    made += blocks(100 * kspace, range(3), flags=("RTFEEDBACK",)) + blocks(100 * kspace, range(3), flags=("noname60",))
    sample = open_kspace(write_later(tmp_path / "a.dat", [(protocol(BASE, LINES), made)]))[0]
    assert torch.equal(sample.kspace, kspace * sample.sampled)
    assert sample.sampled.nonzero().flatten().tolist() == list(range(0, LINES, 2))
    assert sample.calibration is not None
    assert (sample.calibration != 0).any(0).any(0).nonzero().flatten().tolist() == list(range(8, 15))


def test_readouts_on_ramps_are_moved_to_even_distances(tmp_path: Path) -> None:
    """Lines of both directions of a smooth object, sampled where the trapezoid has been; a shift would leave a ghost."""
    n = 2 * 32
    from twixtools.recon_helpers import calc_regrid_traj
    from twixtools.twixprot import parse_buffer

    header = protocol(32, LINES, extra=RAMPS)
    yaps = {"sKSpace": {"lBaseResolution": 32}, "sSliceArray": {"asSlice": [{"dReadoutFOV": 160.0}]}}
    places = calc_regrid_traj({"Meas": parse_buffer(RAMPS), "MeasYaps": yaps}, ncol=n)
    width = 12.0  # mm
    even = np.linspace(places[0], places[-1], n)

    def line_at(k: np.ndarray, line: int) -> np.ndarray:
        return (np.exp(-((width * k) ** 2)) * np.exp(-(((line - 12) / 4) ** 2))).astype(np.complex64)[None]

    made = []
    for line in range(LINES):
        values = line_at(places, line)
        flags = ("REFLECT",) if line % 2 else ()
        made.append(Block(values[:, ::-1] if line % 2 else values, line, flags=flags, center=(12, 0)))
    kspace = open_kspace(write_later(tmp_path / "a.dat", [(header, made)]))[0].kspace
    expected = np.stack([line_at(even, line)[0] for line in range(LINES)], axis=1)
    assert np.abs(kspace.numpy()[0] - expected).max() < 0.01
    stored = np.stack([line_at(places, line)[0] for line in range(LINES)], axis=1)
    assert np.abs(stored - expected).max() > 0.05


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-3000], "reaches beyond the file"),
        (lambda data: data.replace(b"lBaseResolution = 16", b"lBaseResolution = xx"), "no size `lBaseResolution`"),
        (lambda data: data.replace(b"ucTrajectory = 1", b"ucTrajectory = 2"), "its trajectory is 'radial'"),
        (lambda data: data.replace(b"alDwellTime[0]", b"alDwell[99999]"), "its protocol cannot be read"),
        (lambda data: data.replace(b"MeasYaps", b"Measyaps"), "holds no protocol MeasYaps"),
        (lambda data: data[:10240] + b"\xff\xff\xff\xff" + data[10244:], "does not fit into its measurement"),
    ],
)
def test_damaged_files(tmp_path: Path, damage, words: str) -> None:  # type: ignore[no-untyped-def]
    path = write_later(tmp_path / "a.dat", [(protocol(BASE, LINES), blocks(scan((2 * BASE, LINES))))])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=words):
        open_kspace(path)


def test_the_end_of_the_scan_must_be_there(tmp_path: Path) -> None:
    path = write_later(tmp_path / "a.dat", [(protocol(BASE, LINES), blocks(scan((2 * BASE, LINES))))], ends=False)
    with pytest.raises(InputError, match="is cut short after 24 readouts"):
        open_kspace(path)


def test_the_package_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_later(tmp_path / "a.dat", [(protocol(BASE, LINES), blocks(scan((2 * BASE, LINES))))])
    monkeypatch.setitem(sys.modules, "twixtools.twixprot", None)
    with pytest.raises(InputError, match=r"take the package twixtools; pip install 'medrecon\[twix\]'"):
        open_kspace(path)
