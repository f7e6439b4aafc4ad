"""What goes wrong, and what the user sees: one line that says what, where and the remedy; the output whole or absent."""

import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

from medrecon.data.mri.fastmri import FastMRIFile
from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.writing import write_fastmri
from tests.program import Finished, medrecon, simulate

Spoil = Callable[[Path], object]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return simulate(tmp_path / "in" / "scan.h5", slices=3)


def edit(change: Callable[[h5py.File], object]) -> Spoil:
    def spoil(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    return spoil


def replace_kspace(values: object) -> Spoil:
    def change(file: h5py.File) -> None:
        del file["kspace"]
        file["kspace"] = values

    return edit(change)


def fill(index: int, value: complex) -> Spoil:
    def change(file: h5py.File) -> None:
        file["kspace"][index, 0, 3, 4] = value
        if value == 0:
            file["kspace"][index] = 0

    return edit(change)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


SPOILED: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "missing": (Path.unlink, ("does not exist; check its name",)),
    "not HDF5": (lambda path: path.write_text("pixels"), ("is not an HDF5 file; give",)),
    "empty": (lambda path: path.write_bytes(b""), ("is empty, 0 bytes; fetch it again",)),
    "truncated": (truncate, ("is truncated", "fetch it again")),
    "no kspace": (edit(lambda file: file.pop("kspace")), ("no data set `kspace`, it holds ismrmrd_header; give",)),
    "real": (replace_kspace(np.ones((3, 4, 96, 40), np.float32)), ("float32, k-space is complex; give raw data",)),
    "shape": (replace_kspace(np.ones((96, 40), np.complex64)), ("is (96, 40), it takes (slice, coil, ky, kx)",)),
    "NaN": (fill(1, complex("nan")), ("slice 1 (of 3", "NaN or infinite", "; --slices 0:1 takes sound ones")),
    "infinite": (fill(0, complex("inf")), ("slice 0 (of 3", "NaN or infinite", "; --slices 1:3 takes sound ones")),
    "zero": (
        fill(2, 0),
        (
            "slice 2 (of 3",
            "zero everywhere; leave this slice out; --slices 0:2 takes sound ones",
        ),
    ),
    "mask": (
        edit(lambda file: file.create_dataset("mask", data=np.ones(39))),
        ("`mask` is (39,)", "takes (40,), a value for each line", "remove or mend it"),
    ),
    "header": (
        edit(lambda file: [file.pop("ismrmrd_header"), file.create_dataset("ismrmrd_header", data=b"<a")]),
        ("`ismrmrd_header` cannot be read", "mend it, or remove it"),
    ),
}


@pytest.mark.parametrize("kind", list(SPOILED))
@pytest.mark.parametrize("options", [("--method", "rss"), ("--method", "sense", "--mask", "random")])
def test_a_spoiled_file_is_refused_in_one_line(scan: Path, tmp_path: Path, kind: str, options: tuple[str, ...]) -> None:
    spoil, texts = SPOILED[kind]
    spoil(scan)
    out, report, picture = tmp_path / "out.h5", tmp_path / "r.json", tmp_path / "p.png"
    done = medrecon("reconstruct", scan, "-o", out, *options, "--json", report, "--preview", picture)
    assert (done.status, done.out) == (2, "")
    assert done.complaint.startswith(f"{scan}: ")
    for text in texts:
        assert text in done.complaint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_sound_slices_of_a_spoiled_file_can_be_had_as_the_message_says(scan: Path, tmp_path: Path) -> None:
    SPOILED["NaN"][0](scan)
    assert medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--method", "rss", "--slices", "0:1").status == 0
    SPOILED["zero"][0](scan)
    refused = medrecon("reconstruct", scan, "-o", tmp_path / "p.h5", "--method", "rss")
    assert "1 more of the slices asked for cannot be used either; --slices 0:1" in refused.complaint


@pytest.mark.parametrize("method", ["zero-filled", "sense", "wavelet", "tv"])
def test_no_calibration_lines(scan: Path, tmp_path: Path, method: str) -> None:
    mask = ("--mask", "equispaced", "--acceleration", "4", "--center-fraction", "0")
    done = medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--method", method, *mask)
    assert done.status == 2
    assert "scan.h5, slice 0: the fully sampled center of k-space is" in done.complaint
    assert (
        "sample more central lines, use a method without coil maps (rss), or give maps of a calibration measured apart"
        in done.complaint
    )
    assert not (tmp_path / "o.h5").exists()
    assert medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--method", "rss", *mask).status == 0


def test_coarse_maps_are_told_once(scan: Path, tmp_path: Path) -> None:
    mask = ("--mask", "random", "--center-fraction", "0.12", "--seed", "8")
    done = medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--method", "sense", *mask)
    assert (done.status, done.out.count("note: the fully sampled center of k-space is")) == (0, 1)


def test_an_output_that_exists_is_kept_unless_told_otherwise(scan: Path, tmp_path: Path) -> None:
    for option, name in (("-o", "o.h5"), ("--json", "r.json"), ("--preview", "p.png")):
        kept = tmp_path / name
        kept.write_text("precious")
        call = ("reconstruct", scan, "-o", tmp_path / "other.h5", "--method", "rss", option, kept)
        done = medrecon(*call)
        assert done.status == 2
        assert f"{kept}: exists already; give --overwrite" in done.complaint
        assert kept.read_text() == "precious"
        assert not (tmp_path / "other.h5").exists()
        assert medrecon(*call, "--overwrite").status == 0
        assert kept.read_bytes() != b"precious"
        (tmp_path / "other.h5").unlink(missing_ok=True)


def test_a_failed_call_keeps_the_output_it_was_to_replace(scan: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.h5"
    out.write_text("precious")
    SPOILED["NaN"][0](scan)
    assert medrecon("reconstruct", scan, "-o", out, "--method", "rss", "--overwrite").status == 2
    assert out.read_text() == "precious"


def test_no_input_is_written_over(scan: Path, tmp_path: Path) -> None:
    before = scan.read_bytes()
    (tmp_path / "link.h5").symlink_to(scan)
    for call in (
        (scan, "-o", scan),
        (scan, "-o", scan.parent),
        (scan, "-o", tmp_path / "link.h5"),
        (scan, "-o", tmp_path / "o.h5", "--json", scan),
        (scan.parent, "-o", scan.parent),
    ):
        done = medrecon("reconstruct", *call, "--method", "rss", "--overwrite")
        assert (done.status, "is an input of this call" in done.complaint) == (2, True)
    assert scan.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--slices", "1:9"), "has 3 slices, 0 to 2; --slices asks for 1:9"),
        (("--slices", "2:1"), "--slices asks for 2:1"),
        (("--slices", "3"), "--slices asks for 3:4"),
        (("--slices", "x"), "--slices takes a:b, a:, :b or a single a, counted from 0; got 'x'"),
        (("--slices=-2:",), "--slices takes a:b"),
        (("--method", "rss", "--weight", "1"), "--weight: the method rss has no weight"),
        (("--method", "zero-filled", "--iterations", "3"), "--iterations: the method zero-filled has no iterations"),
        (("--weight", "-1"), "--weight should be greater than or equal to 0, got -1"),
        (("--weight", "nan"), "--weight should be a finite number, got nan"),
        (("--iterations", "0"), "--iterations should be greater than or equal to 1, got 0"),
        (("--acceleration", "4"), "--acceleration belongs to a mask; give --mask"),
        (("--center-fraction", ".1"), "--center-fraction belongs to a mask"),
        (("--seed", "1"), "--seed belongs to a mask"),
        (("--mask", "random", "--acceleration", "0.5"), "--acceleration should be greater than or equal to 1, got 0.5"),
        (("--mask", "random", "--seed", "-1"), "--seed should be greater than or equal to 0, got -1"),
        (("--mask", "magic", "--acceleration", "2.5"), "takes a whole acceleration, got 2.5; magic-fraction takes"),
        (("--mask", "radial", "--center-fraction", "0.1"), "the mask radial has no center fraction"),
        (("--mask", "poisson", "--acceleration", "40", "--center-fraction", "0.5"), "make it smaller or the accel"),
        (("--mask", "spiral"), "Invalid value for '--mask'"),
        (("--method", "magic"), "--method magic: there is no such method; there are zero-filled, rss,"),
        (("--preview", "p.jpg"), "p.jpg: the picture is a PNG file; name it *.png"),
        (("--output", "o.png"), "o.png: its ending names no format of images; name it *.h5"),
        (("--output", "nowhere/o.h5"), "nowhere does not exist; create it first"),
    ],
)
def test_options_that_make_no_sense(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = medrecon("reconstruct", scan, "--output", "o.h5", *options)
    assert (done.status, done.out) == (2, "")
    assert text in done.complaint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_cuda_that_is_not_there(scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    done = medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--device", "cuda")
    assert (done.status, "no CUDA device is available" in done.complaint) == (2, True)


def test_a_mask_for_data_that_are_undersampled(tmp_path: Path) -> None:
    kspace = FastMRIFile(simulate(tmp_path / "full.h5")).raw(0)
    kspace[..., 1::3] = 0
    write_fastmri(tmp_path / "scan.h5", [kspace], header=make_header((96, 40), (48, 40)))
    done = medrecon("reconstruct", tmp_path / "scan.h5", "-o", tmp_path / "o.h5", "--mask", "random")
    assert done.status == 2
    assert "slice 0 is undersampled already (1.48 times), and --mask takes fully sampled scans" in done.complaint


def test_other_files_go_on_when_one_fails(scan: Path, tmp_path: Path) -> None:
    good = simulate(tmp_path / "in" / "zz.h5")
    SPOILED["NaN"][0](scan)
    absent, out, report = tmp_path / "absent.h5", tmp_path / "out", tmp_path / "r.json"
    done = medrecon("reconstruct", absent, scan, good, "-o", out, "--method", "rss", "--json", report)
    assert done.status == 2
    assert [line.split(": ")[2] for line in done.err.splitlines()] == [str(absent), str(scan)]
    assert [path.name for path in out.iterdir()] == ["zz.h5"]
    summary = " ".join(done.out.split())
    assert "1 of 3 files reconstructed" in summary
    assert "slice 1 (of 3" in summary
    values = json.loads(report.read_text())
    assert ["error" in entry for entry in values] == [True, True, False]


def test_a_call_of_which_all_fails_leaves_no_folder(scan: Path, tmp_path: Path) -> None:
    SPOILED["zero"][0](scan)
    assert medrecon("reconstruct", scan.parent, "-o", tmp_path / "out", "--preview", tmp_path / "p").status == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_inputs_of_one_name_and_outputs_that_are_files(scan: Path, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    twin = simulate(tmp_path / "two" / "scan.h5")
    assert "is another output of this call" in medrecon("reconstruct", scan, twin, "-o", tmp_path / "out").complaint
    assert "several inputs take a folder" in medrecon("reconstruct", scan.parent, "-o", twin).complaint
    assert "several inputs take a folder" in medrecon("reconstruct", scan.parent, "-o", tmp_path / "o.h5").complaint
    (tmp_path / "bare").mkdir()
    assert "holds no *.h5" in medrecon("reconstruct", tmp_path / "bare", "-o", tmp_path / "out").err


def limited(call: Callable[[], Finished], size: int) -> Finished:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        return call()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("command", ["reconstruct", "simulate"])
def test_a_full_disk(scan: Path, tmp_path: Path, command: str) -> None:
    out = tmp_path / "out.h5"
    arguments = ("simulate", out) if command == "simulate" else ("reconstruct", scan, "-o", out, "--method", "rss")
    done = limited(lambda: medrecon(*arguments), 1 << 19)
    assert done.status == 2
    assert f"{out}: the disk or the quota is full; free some space" in done.complaint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_a_full_disk_when_the_picture_is_written(scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, _: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("medrecon.report.figures.preview", full)
    picture = tmp_path / "p.png"
    done = medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--method", "rss", "--preview", picture)
    assert (done.status, not picture.exists()) == (2, True)
    assert "the disk or the quota is full" in done.complaint


def test_an_iteration_that_diverges(scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: object) -> None:
        raise ArithmeticError("the iteration diverged")

    monkeypatch.setattr("medrecon.reconstructors.Sense.__call__", diverge)
    done = medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--method", "sense")
    assert done.status == 2
    assert done.complaint == f"{scan}: slice 0: the iteration diverged; choose another weight or method"
    assert not (tmp_path / "o.h5").exists()


def test_interrupted(scan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-m", "medrecon", "reconstruct", scan, "-o", out, "--method", "tv"]
    command += ["--iterations", "10000000", "--preview", out, "--json", out / "r.json"]
    # A shell that runs the tests in the background lets its children ignore SIGINT.
    listening = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=listening) as process:
        deadline = time.monotonic() + 120
        while not list(out.glob(".scan.h5.*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        try:
            written, error = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 130, error
    assert written == ""
    assert len(error.splitlines()) == 1
    assert "medrecon: error: interrupted" in error
    assert list(out.iterdir()) == []


def test_a_reader_that_went_away() -> None:
    command = f"{sys.executable} -m medrecon --help | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("simulate", "x.h5", "--size", "big"), "--size takes N or YxX, such as 256 or 320x368; got 'big'"),
        (("simulate", "x.h5", "--size", "4"), "--size should be greater than or equal to 8, got 4"),
        (("simulate", "x.h5", "--coils", "0"), "--coils should be greater than or equal to 1, got 0"),
        (("simulate", "x.h5", "--snr", "0"), "--snr should be greater than 0, got 0"),
        (("simulate", "nowhere/x.h5", "--size", "16"), "nowhere does not exist; create it first"),
        (("inspect", "x.h5"), "x.h5: does not exist; check its name"),
        (("data",), "Missing command"),
        (("data", "fetch", "nothing"), "no data set is called 'nothing'; there are: brain-axt2"),
        (("fly",), "No such command 'fly'"),
        (("reconstruct", "x.h5"), "Missing option '--output'"),
    ],
)
def test_other_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], text: str) -> None:
    monkeypatch.chdir(tmp_path)
    done = medrecon(*arguments)
    assert (done.status, done.out) == (2, "")
    assert text in done.complaint
    assert list(tmp_path.iterdir()) == []
