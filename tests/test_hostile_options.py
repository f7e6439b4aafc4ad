"""Sizes and numbers that nobody means, names in no encoding, and code of others: one line, and at once."""

import csv
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest
from pydantic import ValidationError

from medrecon.benchmark.rows import Row, rows_csv
from medrecon.commands.console import one_line
from medrecon.config import settings_from
from medrecon.config.ct import CTAcquisition
from medrecon.config.files import settings_of
from medrecon.config.networks import VarNetSettings
from medrecon.config.training import TrainingSettings
from medrecon.config.training_data import PhantomCTData, PhantomMRIData
from medrecon.data.ct.geometry_files import parse_geometry
from medrecon.errors import InputError
from medrecon.geometry import Arc, ParallelBeam
from medrecon.weights.networks import build_network
from medrecon.words import cell, writable
from medrecon.workflows.training_data import build_training_sets
from tests.program import medrecon

GEOMETRY = {
    "beam": "parallel",
    "angles": {"first": 0.0, "step": 0.1308996938995747, "count": 24},
    "n_bins": 34,
    "spacing": 16.6,
}
ARC = {"first": 0.0, "step": 1e-9}
HUGE = 10**9


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("scans")
    mri, ct = folder / "m.h5", folder / "c.h5"
    assert medrecon("simulate", mri, "--size", "20x16", "--slices", 2, "--coils", 2).status == 0
    assert medrecon("simulate", ct, "--modality", "ct", "--size", 16, "--views", 12).status == 0
    return mri, ct


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"angles": {**ARC, "count": HUGE}}, "1000000000 views of 34 bins"),
        ({"angles": {**ARC, "count": 10**18}}, "views would fit"),
        ({"n_bins": HUGE}, "bins would fit"),
        ({"grid": {"shape": [HUGE, HUGE], "spacing": 0.01}}, "an image of 1000000000 x 1000000000 pixels"),
        ({"grid": {"shape": HUGE, "spacing": 0.01}}, "pixels would fit"),
        ({"spacing": 1e308}, "a spacing of 1e-09 to 1e+09 mm"),
        ({"spacing": 5e-324}, "a spacing of 1e-09 to 1e+09 mm"),
        ({"offset": 1e308}, "an offset of at most 1e+09 millimeters"),
        ({"grid": {"shape": 4, "spacing": 1.0, "center": [1e308, 0.0]}}, "in millimeters up to 1e+09"),
        ({"photons": 1e300}, "less than or equal to"),
        ({"beam": "fan", "source_distance": 1e308, "detector_distance": 1.0}, "source_distance of 1e-09 to 1e+09 mm"),
        ({"beam": "fan", "source_distance": 1.0, "detector_distance": 1e308}, "detector_distance"),
        ({"angles": {"values": ["x"] * 100_000}}, "`angles.values` should be a valid number"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else next(iter(value)),
)
def test_a_geometry_of_impossible_sizes_is_refused_at_once(change: dict[str, object], words: str) -> None:
    start = time.process_time()
    with pytest.raises(InputError, match=r"^p: ") as refused:
        parse_geometry({**GEOMETRY, **change}, "p")
    assert words in str(refused.value)
    assert time.process_time() - start < 1


def test_the_angles_of_an_arc_are_not_walked_through() -> None:
    assert len(ParallelBeam(Arc(0.0, 1e-12, HUGE), n_bins=3, spacing=1.0).angles) == HUGE
    with pytest.raises(ValueError, match="looks like degrees"):
        ParallelBeam(Arc(0.0, 1.0, HUGE), n_bins=3, spacing=1.0)
    with pytest.raises(ValueError, match="angle 9 is not a finite number"):
        ParallelBeam(Arc(0.0, 1e308, 10), n_bins=3, spacing=1.0)


@pytest.mark.parametrize(
    "options",
    [
        ("--slices", HUGE),
        ("--size", 4096, "--coils", 256, "--slices", 10**6),
        ("--snr", "1e-308"),
        ("--size", "9" * 5000),
        ("--coils", "9" * 23),
        ("--modality", "ct", "--slices", HUGE * 1000),
        ("--modality", "ct", "--pixel", "5e-324"),
        ("--modality", "ct", "--pixel", "1e308"),
        ("--modality", "ct", "--photons", "1e-308"),
        ("--modality", "ct", "--photons", "1e308"),
    ],
    ids=lambda options: " ".join(map(str, options))[:40],
)
def test_simulations_of_impossible_sizes_are_refused_at_once(tmp_path: Path, options: tuple[object, ...]) -> None:
    start = time.process_time()
    done = medrecon("simulate", tmp_path / "o.h5", *options)
    assert done.status == 2
    assert len(done.complaint) < 400
    assert not any(tmp_path.iterdir())
    assert time.process_time() - start < 3


@pytest.mark.parametrize(
    ("which", "options"),
    [
        (0, ("--slices", "9" * 23)),
        (0, ("--slices", "9" * 5000)),
        (0, ("--size", "9" * 23)),
        (0, ("--seed", "9" * 23, "--mask", "random")),
        (1, ("--offset=1e308",)),
        (1, ("--offset=nan",)),
        (1, ("--pixel=5e-324",)),
        (1, ("--pixel=1e-8",)),
        (1, ("--photons=1e308",)),
        (1, ("--set", "window=" + "x" * 100_000)),
        (1, ("--set", "window=[[[[")),
        (1, ("--method", "x" * 100_000)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_impossible_numbers_of_a_reconstruction_are_refused_at_once(
    scans: tuple[Path, Path], tmp_path: Path, which: int, options: tuple[str, ...]
) -> None:
    start = time.process_time()
    done = medrecon("reconstruct", scans[which], "-o", tmp_path / "o.h5", *options)
    assert done.status == 2
    assert len(done.complaint) < 3000
    assert time.process_time() - start < 3


def test_the_offset_is_called_by_its_name(scans: tuple[Path, Path], tmp_path: Path) -> None:
    done = medrecon("reconstruct", scans[1], "-o", tmp_path / "o.h5", "--offset=nan")
    assert done.complaint == "--offset takes millimeters, such as 2.5, or auto, which measures it; got nan"


def test_an_offset_that_is_no_number_is_shown_in_part() -> None:
    with pytest.raises(ValidationError, match="--offset takes millimeters") as caught:
        CTAcquisition.model_validate({"offset": ["far"] * 10_000})
    assert len(caught.value.errors()[0]["msg"]) < 300


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("phantom-mri", {"train": HUGE, "masks": [{"kind": "radial"}]}),
        ("phantom-ct", {"train": HUGE}),
        ("phantom-ct", {"all_views": HUGE}),
    ],
)
def test_phantoms_that_fit_nowhere_are_refused(kind: str, fields: dict[str, object]) -> None:
    settings = settings_of(PhantomMRIData if kind == "phantom-mri" else PhantomCTData, {"kind": kind, **fields}, "p")
    with pytest.raises(InputError, match=r"of memory, and .* are free; "):
        build_training_sets(settings, 0)


def test_networks_that_fit_nowhere_are_refused_before_they_are_made() -> None:
    start = time.process_time()
    with pytest.raises(InputError, match=r"network: \d+ parameters of varnet takes .* of memory"):
        build_network(VarNetSettings(kind="varnet", features=8192, pools=10), "sense")
    assert time.process_time() - start < 5
    for field, value in (("pools", 60), ("features", HUGE), ("cascades", HUGE)):
        with pytest.raises(InputError, match="should be less than or equal to"):
            settings_from(VarNetSettings, {"kind": "varnet", field: value})


@pytest.mark.parametrize(
    "change", ["mri.scenarios.0.data.slices", "ct.scenarios.0.data.slices", "ct.scenarios.0.data.views"]
)
def test_benchmarks_of_impossible_sizes_are_refused(tmp_path: Path, change: str) -> None:
    done = medrecon("benchmark", "benchmark_phantom", "-o", tmp_path / "b", "--workers", 0, "--set", f"{change}={HUGE}")
    assert done.status == 2
    assert "slices would fit" in done.complaint


@pytest.mark.parametrize(
    "line", [("benchmark", "benchmark_phantom", "--workers"), ("train", "varnet_brain_small", "--devices")]
)
def test_processes_that_fit_nowhere_are_refused(line: tuple[str, ...], tmp_path: Path) -> None:
    done = medrecon(*line, HUGE, "-o", tmp_path / "o")
    assert done.status == 2
    assert "would fit" in done.complaint


def test_an_integer_beyond_64_bits_is_no_setting() -> None:
    values = {"epochs": 1, "patience": 2**63}
    with pytest.raises(InputError, match="patience"):
        settings_from(TrainingSettings.model_fields["training"].annotation, values)  # type: ignore[type-var]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-cmd", "@SUM(A1)", "\tx"])
def test_cells_that_spreadsheets_execute_are_text(text: str) -> None:
    assert cell(text) == f"'{text}"
    row = Row("k", "mri", text, "fbp", {}, learned=False, file=text, slice=0, reason=text, notes=(text,), nmse=-0.5)
    cells = [*csv.reader(io.StringIO(rows_csv([row]), newline=""))][1]
    assert cells.count(f"'{text}") == 4
    assert text not in cells
    assert "-0.5" in cells
    assert cell(-1.5) == -1.5
    assert cell("a=b") == "a=b"
    assert cell("a\r=1+1") == "a =1+1"


def test_a_text_that_no_file_takes_is_escaped() -> None:
    assert writable("a\udcff\0ä") == "a\\udcff\\x00ä"


def test_messages_steer_no_terminal_and_are_cut() -> None:
    assert one_line("a\x1b[31m\x07b\nc") == "a?[31m?b c"
    assert len(one_line("x" * 10**7)) < 3000


@pytest.mark.skipif(os.name == "nt", reason="a shell closes them")
@pytest.mark.parametrize(("closed", "file", "status"), [(">&-", "m.h5", 0), ("2>&-", "m.h5", 0), ("2>&-", "no.h5", 2)])
def test_closed_outputs_change_no_status(scans: tuple[Path, Path], closed: str, file: str, status: int) -> None:
    line = f'"{sys.executable}" -m medrecon inspect "{scans[0].parent / file}" {closed}'
    assert subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=False).returncode == status


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="file names are text there")
@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii"])
def test_names_in_no_encoding_end_no_run(tmp_path: Path, encoding: str) -> None:
    name = "漢$\\frac{$\udcff"
    program = [sys.executable, "-m", "medrecon"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    made = [*program, "simulate", f"{name}.h5", "--size", "16", "--coils", "2"]
    outputs = ["-o", f"{name}_o.h5", "--preview", f"{name}.png", "--report", f"{name}.html", "--json", f"{name}.json"]
    used = [*program, "reconstruct", f"{name}.h5", *outputs, "--method", "rss"]
    for command in (made, used):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
        assert (done.returncode, done.stderr.replace(b"\n", b"")[:300]) == (0, b"")
    with h5py.File(tmp_path / f"{name}_o.h5") as file:
        assert file["reconstruction"].shape == (1, 16, 16)
    assert json.loads((tmp_path / f"{name}.json").read_text("utf-8"))


def test_code_of_a_foreign_benchmark_runs_only_where_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "foreign_method.py").write_text(
        "from pathlib import Path\nPath('ran').touch()\ndef adjoint(y, A):\n    return A.H(y)\n", encoding="utf-8"
    )
    (tmp_path / "b.yaml").write_text(
        "name: b\nresamples: 100\nmri:\n  methods: [{name: m, method: {kind: custom, import: 'foreign_method:adjoint'}}]\n"
        "  scenarios: [{name: s, data: {kind: phantom-mri, size: [16, 16], slices: 1, coils: 1}, mask: {kind: radial}}]\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    beside = (
        "--set",
        "mri.methods.0.name=not_a_foreign_method:adjoint_of_mine",
    )  # which names the place, and not as one
    for line in (
        ("benchmark", "b.yaml", "-o", "out", "--workers", 0),
        ("benchmark", "b.yaml", "-o", "out", "--workers", 0, *beside),
        ("tune", "m", "b.yaml", "-o", "t.yaml"),
    ):
        done = medrecon(*line)
        assert done.status == 2
        assert "b.yaml: imports foreign_method:adjoint, whose code then runs" in done.complaint
        assert "--allow-code" in done.complaint
        assert not (tmp_path / "ran").exists()
    given = ("--set", "mri.methods.0.method={kind: custom, import: 'foreign_method:adjoint'}")
    for number, leave in enumerate((("--allow-code",), given)):
        assert medrecon("benchmark", "b.yaml", "-o", f"out{number}", "--workers", 0, *leave).status == 0
    assert (tmp_path / "ran").exists()


def test_what_libraries_warn_of_is_not_shown(scans: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    def warn(*_: object, **__: object) -> None:
        warnings.warn("a fault of a library", RuntimeWarning, stacklevel=1)
        raise InputError("refused")

    monkeypatch.setattr("medrecon.workflows.inspect.inspect_file", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert medrecon("inspect", scans[0]).err == "medrecon: error: refused\n"
