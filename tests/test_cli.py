"""The program as a user meets it: what it writes, and what it prints."""

import json
import os
import re
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from medrecon import metrics
from medrecon._version import __version__
from medrecon.data.mri.fastmri import FastMRIFile
from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.masks import equispaced_fraction_mask, mask_seed
from medrecon.data.mri.writing import write_fastmri
from medrecon.data.sets import manifest
from medrecon.doctor import REQUIRED, examine
from medrecon.problem import full_reconstruction, undersample
from tests.program import medrecon, simulate
from tests.settings import CLASSICAL_MRI

MASK = ("--mask", "equispaced-fraction", "--acceleration", 3, "--center-fraction", 0.2)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("scans") / "scan.h5", slices=3)


def images(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        values = file["reconstruction"][()]
    assert values.dtype == np.float32
    return values


@pytest.mark.parametrize("method", CLASSICAL_MRI)
def test_reconstruct_writes_images_attributes_report_and_picture(scan: Path, tmp_path: Path, method: str) -> None:
    out, report, picture = tmp_path / "out.h5", tmp_path / "r.json", tmp_path / "p.png"
    done = medrecon(
        *("reconstruct", scan, "--output", out, "--method", method, *MASK, "--json", report, "--preview", picture)
    )
    assert (done.status, done.err) == (0, "")
    assert images(out).shape == (3, 48, 40)
    values = json.loads(report.read_text())
    assert (values["method"], values["slices"], values["protocol"]) == (method, 3, "fastmri-v1")
    assert values["seconds"] > 0
    assert set(values["metrics"]) == {"psnr", "ssim", "nmse"}
    lines = equispaced_fraction_mask(40, 3, 0.2, mask_seed("scan.h5")).sampled
    assert values["true_acceleration"] == pytest.approx(40 / int(lines.sum()))
    assert values["mask"] == {
        "kind": "equispaced-fraction",
        "acceleration": 3,
        "center_fraction": 0.2,
        "seed": "scan.h5",
    }
    with h5py.File(out) as file:
        attributes = dict(file.attrs)
    assert (attributes["method"], attributes["version"], attributes["source"]) == (method, __version__, "scan.h5")
    assert attributes["true_acceleration"] == pytest.approx(values["true_acceleration"])
    assert attributes["sampling"] == f"equispaced-fraction: {int(lines.sum())} of 40 lines, true acceleration 2.86"
    assert attributes["coil_maps"] == ("none" if method == "rss" else "espirit")
    assert ("weight" in attributes) == (method not in ("zero-filled", "rss")) == (values["weight"] is not None)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"PSNR {values['metrics']['psnr']:.2f} dB" in done.out
    assert done.out.count("PSNR") == done.out.count("(fastmri-v1)") == 1


def test_metrics_are_those_of_the_written_volume(scan: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out.h5", tmp_path / "r.json"
    medrecon("reconstruct", scan, "-o", out, "--method", "rss", *MASK, "--json", report, "--slices", "1:")
    written = torch.from_numpy(images(out))
    target = torch.stack([full_reconstruction(FastMRIFile(scan)[i]) for i in (1, 2)])
    peak = float(target.max())
    assert json.loads(report.read_text())["metrics"] == pytest.approx(
        {
            "psnr": metrics.psnr(written, target, data_range=peak),
            "ssim": metrics.ssim(written, target, data_range=peak),
            "nmse": metrics.nmse(written, target),
        },
        rel=1e-5,
    )


def test_compressed_sensing_is_better_than_zero_filling(scan: Path, tmp_path: Path) -> None:
    scores = {}
    for method in CLASSICAL_MRI:
        report = tmp_path / f"{method}.json"
        medrecon("reconstruct", scan, "-o", tmp_path / f"{method}.h5", "--method", method, *MASK, "--json", report)
        scores[method] = json.loads(report.read_text())["metrics"]["psnr"]
    for method in ("sense", "wavelet", "tv"):
        assert scores[method] > max(scores["zero-filled"], scores["rss"]) + 3


@pytest.mark.parametrize("method", ["rss", "sense", "tv"])
def test_what_lies_above_and_right_in_the_object_does_so_in_the_file(scan: Path, tmp_path: Path, method: str) -> None:
    out = tmp_path / "out.h5"
    medrecon("reconstruct", scan, "-o", out, "--method", method, *MASK)
    y, x = np.unravel_index(images(out)[1].argmax(), (48, 40))
    # The shorter side, x, is two units of the phantom; the bright one lies at (y, x) = (-0.4, 0.3).
    assert (y, x) == (pytest.approx(24 - 0.4 * 20, abs=2), pytest.approx(20 + 0.3 * 20, abs=2))


@pytest.mark.parametrize("mask", [("poisson", "--center-fraction", "0.2"), ("radial",)])
def test_masks_of_points_meet_their_acceleration_without_oversampling(
    scan: Path, tmp_path: Path, mask: tuple[str, ...]
) -> None:
    report = tmp_path / "r.json"
    done = medrecon(
        "reconstruct", scan, "-o", tmp_path / "o.h5", "--method", "sense", "--mask", *mask, "--json", report
    )
    values = json.loads(report.read_text())
    assert done.status == 0
    assert values["true_acceleration"] == pytest.approx(4, rel=0.05)
    assert f"of {48 * 40} samples" in values["sampling"]
    assert values["metrics"]["psnr"] > 20


def test_seed_chooses_the_mask(scan: Path, tmp_path: Path) -> None:
    volumes = []
    for number, seed in enumerate(("1", "1", "2")):
        out = tmp_path / f"{number}.h5"
        medrecon("reconstruct", scan, "-o", out, "--method", "rss", "--mask", "random", "--seed", seed)
        volumes.append(images(out))
    assert np.array_equal(volumes[0], volumes[1])
    assert not np.array_equal(volumes[0], volumes[2])


def test_undersampled_data_are_taken_as_they_are(scan: Path, tmp_path: Path) -> None:
    file = FastMRIFile(scan)
    mask = equispaced_fraction_mask(40, 3, 0.2, mask_seed("scan.h5"))
    path, report = tmp_path / "test.h5", tmp_path / "r.json"
    samples = [undersample(sample, mask) for sample in file]
    header = make_header((96, 40), (48, 40))
    write_fastmri(path, [s.kspace for s in samples], header=header, mask=mask.sampled)
    done = medrecon("reconstruct", path, "-o", tmp_path / "a.h5", "--json", report, "--method", "sense")
    values = json.loads(report.read_text())
    assert (done.status, values["mask"], "metrics" in values) == (0, None, False)
    assert values["true_acceleration"] == pytest.approx(mask.acceleration)
    assert values["sampling"].startswith("as acquired: ")
    medrecon("reconstruct", scan, "-o", tmp_path / "b.h5", "--method", "sense", *MASK)
    np.testing.assert_allclose(images(tmp_path / "a.h5"), images(tmp_path / "b.h5"), atol=1e-4)

    targets = [full_reconstruction(sample) for sample in file]
    write_fastmri(path, [s.kspace for s in samples], header=header, targets=targets, overwrite=True)
    medrecon("reconstruct", path, "-o", tmp_path / "c.h5", "--json", report, "--method", "sense", "--overwrite")
    assert json.loads(report.read_text())["metrics"]["psnr"] > 20


def test_full_data_by_rss_are_the_target(scan: Path, tmp_path: Path) -> None:
    assert medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--method", "rss").status == 0
    np.testing.assert_allclose(images(tmp_path / "o.h5")[2], full_reconstruction(FastMRIFile(scan)[2]), rtol=1e-6)


@pytest.mark.parametrize(("text", "kept"), [("0:2", [0, 1]), ("1:", [1, 2]), (":1", [0]), ("2", [2]), (":", [0, 1, 2])])
def test_slices(scan: Path, tmp_path: Path, text: str, kept: list[int]) -> None:
    out = tmp_path / "o.h5"
    medrecon("reconstruct", scan, "-o", tmp_path / "all.h5", "--method", "rss")
    assert medrecon("reconstruct", scan, "-o", out, "--method", "rss", "--slices", text).status == 0
    assert np.array_equal(images(out), images(tmp_path / "all.h5")[kept])
    with h5py.File(out) as file:
        assert file.attrs["first_slice"] == kept[0]


def test_weight_and_iterations_are_the_methods_own(scan: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.h5"
    medrecon("reconstruct", scan, "-o", out, "--method", "tv", "--weight", 0.5, "--iterations", 7, *MASK)
    with h5py.File(out) as file:
        assert (file.attrs["weight"], file.attrs["iterations"]) == (0.5, 7)


def test_a_folder_is_where_outputs_go_by_the_names_of_their_inputs(tmp_path: Path) -> None:
    scans, out, pictures = tmp_path / "scans", tmp_path / "new" / "out", tmp_path / "pictures"
    scans.mkdir()
    for name in "ab":
        simulate(scans / f"{name}.h5")
    report = tmp_path / "r.json"
    done = medrecon(
        *("reconstruct", scans, "-o", out, "--method", "rss", *MASK, "--json", report, "--preview", pictures)
    )
    assert (done.status, done.err) == (0, "")
    assert sorted(p.name for p in out.iterdir()) == ["a.h5", "b.h5"]
    assert sorted(p.name for p in pictures.iterdir()) == ["a.png", "b.png"]
    assert [Path(entry["output"]).name for entry in json.loads(report.read_text())] == ["a.h5", "b.h5"]
    assert "2 of 2 files" in done.out
    assert medrecon("reconstruct", scans / "a.h5", "-o", pictures, "--method", "rss").status == 0
    assert (pictures / "a.h5").is_file()


def test_notes_are_told_for_each_of_several_files(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in "ab":
        simulate(scans / f"{name}.h5")
    mask = ("--mask", "random", "--center-fraction", 0.12, "--seed", 8)
    done = medrecon("reconstruct", scans, "-o", tmp_path / "out", "--method", "sense", *mask)
    for name in "ab":
        assert done.out.count(f"note: {scans / name}.h5: the fully sampled center of k-space is") == 1


def test_simulate_then_inspect(tmp_path: Path) -> None:
    path = tmp_path / "phantom.h5"
    done = medrecon(
        *("simulate", path, "--phantom", "shepp-logan", "--size", "48x64"),
        *("--slices", 2, "--coils", 3, "--snr", "inf", "--seed", 4),
    )
    assert (done.status, done.err) == (0, "")
    with h5py.File(path) as file:
        assert file["kspace"].shape == (2, 3, 96, 64)
        assert file["reconstruction_rss"].shape == (2, 48, 64)
    assert "2 slices, 3 coils, k-space 96 x 64" in medrecon("inspect", path).out
    assert json.loads(medrecon("inspect", path, "--json").out)["matrix"] == [48, 64]
    sample = FastMRIFile(path)[1]
    assert sample.target is not None
    torch.testing.assert_close(sample.target, full_reconstruction(sample))


def test_simulate_repeats_by_its_seed(tmp_path: Path) -> None:
    kspace = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        medrecon("simulate", tmp_path / name, "--size", 16, "--coils", 2, "--seed", seed)
        kspace.append(FastMRIFile(tmp_path / name).raw(0))
    assert torch.equal(kspace[0], kspace[1])
    assert not torch.equal(kspace[0], kspace[2])


def test_demo_compares_all_methods(tmp_path: Path) -> None:
    for _ in range(2):  # a second time it replaces what it wrote
        done = medrecon("demo", "--folder", tmp_path / "demo", "--size", 64)
        assert (done.status, done.err) == (0, "")
    assert all(method in done.out for method in CLASSICAL_MRI)
    picture = tmp_path / "demo" / "comparison.png"
    assert str(picture) in done.out.replace("\n", "")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "demo" / "brain_dicom" / "0001.dcm").is_file()


def test_methods_and_doctor() -> None:
    methods = medrecon("methods").out
    assert all(method in methods for method in CLASSICAL_MRI)
    found = medrecon("doctor").out
    assert __version__ in found
    assert torch.__version__ in found
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    assert [re.split("[>=]", wanted)[0] for wanted in project["dependencies"]] == list(REQUIRED)
    assert all(f"\n{name} " in found for name in REQUIRED)


def test_doctor_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medrecon.doctor._version", lambda _name: None)
    found = dict(examine())
    assert {found[name] for name in REQUIRED} == {"missing: install medrecon again"}
    assert found["lpips"] == "not installed; `lpips` in benchmarks"


def test_data_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDRECON_DATA", str(tmp_path / "cache"))
    listed = medrecon("data", "list")
    assert all(name in listed.out for name in manifest.manifest_names())
    assert "fetch brain-axt2" in medrecon("data", "path", "brain-axt2").complaint
    assert medrecon("data", "verify", "brain-axt2").status == 2
    assert "there are: brain-axt2" in medrecon("data", "path", "nothing").complaint
    simulate(tmp_path / "file.h5")
    checked = medrecon("data", "verify", "fastmri-knee", "--folder", tmp_path)
    assert (checked.status, checked.err) == (2, "")
    assert str(tmp_path) in checked.out

    monkeypatch.setattr(
        "medrecon.workflows.preparation.prepare", lambda _name, _progress, packed: packed or tmp_path / "there"
    )
    got = medrecon("data", "fetch", "brain-axt2")
    license = " ".join(manifest.load_manifest("brain-axt2").license.split())
    assert got.out.index(license) < got.out.index(f"lies in {tmp_path / 'there'}")


def test_help_and_version() -> None:
    assert medrecon().out == medrecon("--help").out
    assert medrecon("--version").out == f"medrecon {__version__}\n"
    for command in ("reconstruct", "inspect", "simulate", "methods", "demo", "doctor"):
        assert f"Example: medrecon {command}" in " ".join(medrecon(command, "--help").out.split())


def test_what_nobody_foresaw_is_one_line(scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of a bug")

    monkeypatch.setattr("medrecon.workflows.reconstruct_file", broken)
    monkeypatch.delenv("MEDRECON_DEBUG", raising=False)
    done = medrecon("reconstruct", scan, "-o", tmp_path / "o.h5")
    assert done.status == 1
    assert "ZeroDivisionError: of a bug; run with MEDRECON_DEBUG=1" in done.complaint
    monkeypatch.setitem(os.environ, "MEDRECON_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        medrecon("reconstruct", scan, "-o", tmp_path / "o.h5")


def test_options_from_before_still_work_with_a_note(tmp_path: Path) -> None:
    scan = tmp_path / "ct.h5"
    assert medrecon("simulate", scan, "--modality", "ct", "--size", 32, "--views", 40).status == 0
    images = []
    for number, options in enumerate((("--set", "window=cosine"), ("--window", "cosine"))):
        out = tmp_path / f"{number}.h5"
        done = medrecon("reconstruct", scan, "-o", out, "--method", "fbp", *options)
        assert done.status == 0
        assert ("note: --window is --set window=cosine now" in done.err) == bool(number)
        with h5py.File(out) as file:
            images.append(file["reconstruction"][()])
            assert file.attrs["window"] == "cosine"
    assert (images[0] == images[1]).all()
    done = medrecon("reconstruct", scan, "-o", tmp_path / "t.h5", "--method", "cgls", "--set", "iterations=3")
    assert "note: the method cgls is called tikhonov now" in done.err
    assert "iterations 3" in done.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--set", "tolerance=-1"), "--set tolerance: should be greater than or equal to 0, got -1"),
        (
            ("--set", "window=hann"),
            "--set window=hann: the method tv has no window; it has weight, iterations, tolerance",
        ),
        (("--set", "weight=1", "--weight", "2"), "--set weight=1: weight is given twice; leave one out"),
        (("--set", "weight"), "--set takes key=value, such as weight=0.002; got 'weight'"),
        (("--tolerance", "1"), "Options of methods are given as --set tolerance=VALUE."),
    ],
)
def test_options_of_a_method_are_refused_in_words(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    scan = simulate(tmp_path / "scan.h5")
    done = medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--method", "tv", *options)
    assert done.status == 2
    assert words in done.complaint
    assert not (tmp_path / "o.h5").exists()


def test_the_options_of_a_method_are_explained() -> None:
    out = " ".join(medrecon("methods", "tv").out.split())
    assert "predict far better what is held back MRI: 0.0012; CT: 4.5" in out
    assert "window on the ramp filter" in " ".join(medrecon("methods", "fbp").out.split())
