"""CT from the command line: what is written, in which unit and orientation, and what is printed."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from medrecon import metrics
from medrecon.data.ct.attenuation import MU_MAX, AttenuationUnit, hounsfield_from_attenuation, image_in_unit
from medrecon.data.ct.geometry_files import CTScan, geometry_text
from medrecon.data.ct.lodopab import write_lodopab
from medrecon.data.ct.photons import count_photons
from medrecon.data.ct.projections import phantom_image, phantom_sinogram
from medrecon.data.ct.sinogram_files import SinogramFile
from medrecon.data.nifti import write_nifti
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.data.volume import CTVolume
from medrecon.evaluation import image_range
from medrecon.geometry import Arc, FanBeam, Grid, lodopab, lodopab_grid
from tests.program import medrecon, simulate
from tests.settings import CLASSICAL_CT
from tests.sinogram_files import GRID, PHANTOM, SCAN, sinograms, write_scan


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scan(tmp_path_factory.mktemp("scans") / "scan.h5", slices=3)


def images(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        values = file["reconstruction"][()]
    assert values.dtype == np.float32
    return values


def attributes(path: Path) -> dict[str, object]:
    with h5py.File(path) as file:
        return dict(file.attrs)


@pytest.mark.parametrize("method", CLASSICAL_CT)
def test_every_method_writes_images_attributes_report_and_picture(scan: Path, tmp_path: Path, method: str) -> None:
    out, report, picture = tmp_path / "out.h5", tmp_path / "r.json", tmp_path / "p.png"
    done = medrecon("reconstruct", scan, "-o", out, "--method", method, "--json", report, "--preview", picture)
    assert (done.status, done.err) == (0, "")
    written = torch.from_numpy(images(out))
    target = torch.stack([sample.target for sample in SinogramFile(scan) if sample.target is not None])
    assert float((written - target).abs().mean()) < 0.002  # of 0.02 to 0.03 in water
    values = json.loads(report.read_text())
    assert (values["modality"], values["method"], values["unit"], values["slices"]) == ("ct", method, "1/mm", 3)
    assert (values["views"], values["measured_views"], values["shape"], values["pixel"]) == (60, 60, [40, 48], [2, 2])
    assert (values["protocol"], set(values["metrics"])) == ("lodopab", {"psnr", "ssim"})
    scores = [
        metric(one, wanted, data_range=image_range(wanted))
        for metric in (metrics.psnr, metrics.ssim)
        for one, wanted in zip(written, target, strict=True)
    ]
    assert values["metrics"]["psnr"] == pytest.approx(sum(scores[:3]) / 3, rel=1e-6)
    assert values["metrics"]["ssim"] == pytest.approx(sum(scores[3:]) / 3, rel=1e-6)
    said = attributes(out)
    assert (said["method"], said["unit"], said["views"], said["source"]) == (method, "1/mm", 60, "scan.h5")
    assert said["geometry"] == "parallel beam: 60 views from 0 to 177 degrees, 64 bins of 2 mm"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"PSNR {values['metrics']['psnr']:.2f} dB" in done.out
    assert done.out.count("PSNR") == done.out.count("(lodopab)") == 1


def test_fbp_is_what_is_done_unless_told_otherwise_and_its_options_arrive(scan: Path, tmp_path: Path) -> None:
    medrecon("reconstruct", scan, "-o", tmp_path / "a.h5")
    medrecon("reconstruct", scan, "-o", tmp_path / "b.h5", "--window", "hann", "--frequency-scaling", 0.5)
    assert (attributes(tmp_path / "a.h5")["method"], attributes(tmp_path / "a.h5")["window"]) == ("fbp", "ramp")
    said = attributes(tmp_path / "b.h5")
    assert (said["window"], said["frequency_scaling"]) == ("hann", 0.5)
    rough = [float(np.abs(np.diff(images(tmp_path / name)[0])).sum()) for name in ("a.h5", "b.h5")]
    assert rough[1] < rough[0]


def test_weight_and_iterations_are_the_methods_own(scan: Path, tmp_path: Path) -> None:
    medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--method", "tv", "--weight", 0.5, "--iterations", 3)
    said = attributes(tmp_path / "o.h5")
    assert (said["weight"], said["iterations"]) == (0.5, 3)


def test_what_lies_above_and_right_in_the_object_does_so_in_the_file(scan: Path, tmp_path: Path) -> None:
    medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--method", "sirt")
    y, x = np.unravel_index(images(tmp_path / "o.h5")[0].argmax(), GRID.shape)
    assert (y, x) == (pytest.approx(19.5 - 16 / 2, abs=2), pytest.approx(23.5 + 20 / 2, abs=2))


def test_hounsfield_units(scan: Path, tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    medrecon("reconstruct", scan, "-o", tmp_path / "a.h5", "--json", report)
    medrecon("reconstruct", scan, "-o", tmp_path / "b.h5", "--hu", "--json", tmp_path / "s.json")
    wanted = hounsfield_from_attenuation(torch.from_numpy(images(tmp_path / "a.h5")))
    np.testing.assert_allclose(images(tmp_path / "b.h5"), wanted, atol=0.01)
    assert attributes(tmp_path / "b.h5")["unit"] == "HU"
    one, other = (json.loads(path.read_text())["metrics"] for path in (report, tmp_path / "s.json"))
    assert one == pytest.approx(other)


@pytest.mark.parametrize("views", [20, 17])
def test_views_are_thinned_and_their_number_said(scan: Path, tmp_path: Path, views: int) -> None:
    report = tmp_path / "r.json"
    done = medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--views", views, "--json", report)
    values = json.loads(report.read_text())
    assert (values["views"], values["measured_views"]) == (views, 60)
    assert f"{views} views of 60" in done.out
    full = tmp_path / "full.json"
    medrecon("reconstruct", scan, "-o", tmp_path / "f.h5", "--json", full)
    assert values["metrics"]["psnr"] < json.loads(full.read_text())["metrics"]["psnr"] - 2


def test_noise_repeats_by_its_seed_whichever_slices_are_taken(scan: Path, tmp_path: Path) -> None:
    calls = {
        "a": ("--photons", 1000),
        "b": ("--photons", 1000),
        "c": ("--photons", 1000, "--seed", 3),
        "one": ("--photons", 1000, "--slices", "1"),
        "clean": (),
    }
    got = {}
    for name, options in calls.items():
        report = tmp_path / f"{name}.json"
        medrecon("reconstruct", scan, "-o", tmp_path / f"{name}.h5", *options, "--json", report)
        got[name] = images(tmp_path / f"{name}.h5")
    assert np.array_equal(got["a"], got["b"])
    assert not np.array_equal(got["a"], got["c"])
    np.testing.assert_allclose(got["a"][1], got["one"][0], atol=1e-6)
    assert np.abs(got["a"] - got["clean"]).mean() > 10 * np.abs(got["b"] - got["a"]).mean()
    values = json.loads((tmp_path / "a.json").read_text())
    assert (values["photons"], values["added_photons"], values["seed"]) == (1000, 1000, "scan.h5")
    assert json.loads((tmp_path / "c.json").read_text())["seed"] == 3
    assert json.loads((tmp_path / "clean.json").read_text())["photons"] is None


def test_noise_on_noise_is_noted(tmp_path: Path) -> None:
    noisy = write_scan(tmp_path / "n.h5", photons=2000)
    done = medrecon("reconstruct", noisy, "-o", tmp_path / "o.h5", "--photons", 2000)
    assert "note: the file holds the noise of 2000 photons per ray already" in done.out
    assert "it is as of 1000" in done.out


def test_statistics_help_at_a_low_dose(tmp_path: Path) -> None:
    noisy, scores = write_scan(tmp_path / "n.h5", photons=500), {}
    for method in ("fbp", "tv", "tv-poisson"):
        report = tmp_path / f"{method}.json"
        medrecon("reconstruct", noisy, "-o", tmp_path / f"{method}.h5", "--method", method, "--json", report)
        scores[method] = json.loads(report.read_text())["metrics"]["psnr"]
    assert min(scores["tv"], scores["tv-poisson"]) > scores["fbp"] + 4


@pytest.mark.parametrize(
    ("options", "shape", "pixel"),
    [
        (("--size", 20), (20, 20), 4.8),
        (("--size", "20x24"), (20, 24), 4.0),
        (("--pixel", 4), (20, 24), 4.0),
        (("--size", "30x50", "--pixel", 3), (30, 50), 3.0),
    ],
)
def test_the_grid_may_be_chosen(
    scan: Path, tmp_path: Path, options: tuple[object, ...], shape: tuple[int, int], pixel: float
) -> None:
    done = medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--method", "sirt", "--slices", 0, *options)
    (image,) = images(tmp_path / "o.h5")
    assert image.shape == shape
    assert attributes(tmp_path / "o.h5")["pixel_x_mm"] == pytest.approx(pixel)
    assert "another grid than --size and --pixel make: nothing is scored" in done.out
    truth = phantom_image(PHANTOM, Grid(shape, pixel)).numpy()
    assert np.abs(image - truth).mean() < 0.1 * truth.max()


def test_arrays_of_numpy_with_a_geometry(tmp_path: Path) -> None:
    scan = CTScan(FanBeam(Arc.full_turn(80), 64, 3.0, 200.0, 100.0), GRID)
    np.save(tmp_path / "s.npy", sinograms(scan)[0].numpy())
    (tmp_path / "g.yaml").write_text(geometry_text(scan))
    call = ("reconstruct", tmp_path / "s.npy", "-o", tmp_path / "o.h5", "--method", "sirt")
    assert "give --geometry FILE" in medrecon(*call).complaint
    done = medrecon(*call, "--geometry", tmp_path / "g.yaml", "--json", tmp_path / "r.json")
    assert (done.status, done.err) == (0, "")
    assert "fan beam on a flat detector: 80 views" in done.out
    assert "metrics" not in json.loads((tmp_path / "r.json").read_text())
    assert np.abs(images(tmp_path / "o.h5")[0] - phantom_image(PHANTOM, GRID).numpy()).mean() < 0.002


@pytest.fixture(scope="module")
def lodopab_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lodopab")
    disk = Phantom((Ellipse(0.02, (-50.0, 20.0), (30.0, 60.0)),))
    noisy = count_photons(phantom_sinogram(disk, lodopab()), 4096, torch.Generator().manual_seed(0))
    write_lodopab(folder, "test", [(noisy, phantom_image(disk, lodopab_grid()))])
    return folder / "observation_test_000.hdf5"


def test_lodopab_comes_back_in_its_own_unit_and_orientation(lodopab_file: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "o.h5", tmp_path / "r.json"
    call = ("reconstruct", lodopab_file, "--set", "window=hann", "--set", "frequency_scaling=0.64", "--views", 50)
    done = medrecon(*call, "-o", out, "--json", report)
    assert (done.status, done.err) == (0, "")
    with h5py.File(out) as file, h5py.File(lodopab_file.with_name("ground_truth_test_000.hdf5")) as truth:
        assert file["data"].shape == truth["data"].shape == (1, 362, 362)
        image, wanted = torch.from_numpy(file["data"][0]), torch.from_numpy(truth["data"][0])
        np.testing.assert_array_equal(file["reconstruction"], file["data"])
    disk = wanted > 0.9 * wanted.max()
    assert float(image[disk].mean()) == pytest.approx(0.02 / MU_MAX, rel=0.02)
    values = json.loads(report.read_text())
    assert (values["unit"], values["protocol"], values["protocol_fr"]) == ("normalized", "lodopab", "lodopab-fr")
    assert (values["photons"], values["views"]) == (4096, 50)
    assert values["metrics"] == pytest.approx(
        {
            "psnr": metrics.psnr(image, wanted, data_range=image_range(wanted)),
            "ssim": metrics.ssim(image, wanted, data_range=image_range(wanted)),
            "psnr_fr": metrics.psnr(image, wanted, data_range=1.0),
            "ssim_fr": metrics.ssim(image, wanted, data_range=1.0),
        },
        rel=1e-4,
    )
    medrecon(*call, "-o", tmp_path / "hu.h5", "--hu")
    upright = hounsfield_from_attenuation(image_in_unit(image * MU_MAX, AttenuationUnit.PER_MM).mT)
    np.testing.assert_allclose(images(tmp_path / "hu.h5")[0], upright, atol=0.1)
    with h5py.File(tmp_path / "hu.h5") as file:
        assert "data" not in file


def test_a_folder_of_both_modalities(tmp_path: Path) -> None:
    scans, out, pictures = tmp_path / "scans", tmp_path / "out", tmp_path / "pictures"
    scans.mkdir()
    simulate(scans / "mri.h5")
    write_scan(scans / "ct.h5")
    np.save(scans / "array.npy", sinograms()[0].numpy())
    (scans / "array.yaml").write_text(geometry_text(SCAN))
    report = tmp_path / "r.json"
    done = medrecon("reconstruct", scans, "-o", out, "--json", report, "--preview", pictures)
    assert (done.status, done.err) == (0, "")
    assert [Path(one["output"]).name for one in json.loads(report.read_text())] == ["array.h5", "ct.h5", "mri.h5"]
    assert sorted(path.name for path in pictures.iterdir()) == ["array.png", "ct.png", "mri.png"]
    table = " ".join(done.out.split())
    assert "60 views" in table
    assert "1.00x" in table
    assert "3 of 3 files reconstructed" in table


def test_simulate_inspect_and_reconstruct(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    call = ("simulate", path, "--modality", "ct", "--size", "32x40", "--slices", 2, "--views", 45, "--photons", 5e4)
    done = medrecon(*call, "--seed", 1)
    assert (done.status, done.err) == (0, "")
    assert "2 sinograms of the abdomen phantom, 32 x 40 pixels of 10 mm, 50000 photons per ray" in done.out
    file = SinogramFile(path)
    assert (len(file), file.shape[1], file.scan.grid, file.scan.photons) == (2, 45, Grid((32, 40), 10.0), 5e4)
    assert file.scan.geometry.field_radius >= file.scan.grid.radius - 1e-9
    before = file.raw(0)
    for seed, same in ((1, True), (2, False)):
        assert medrecon(*call, "--seed", seed, "--overwrite").status == 0
        assert torch.equal(SinogramFile(path).raw(0), before) == same
    looked = medrecon("inspect", path)
    assert (looked.status, "nothing wrong was found" in looked.out) == (0, True)
    assert json.loads(medrecon("inspect", path, "--json").out)["shape"] == list(file.shape[1:])
    done = medrecon("reconstruct", path, "-o", tmp_path / "o.h5", "--method", "tv")
    assert (done.status, images(tmp_path / "o.h5").shape) == (0, (2, 32, 40))


def test_simulate_with_a_scanner_of_a_file(tmp_path: Path) -> None:
    scan = CTScan(FanBeam(Arc.full_turn(20), 50, 8.0, 500.0, 300.0), Grid((30, 30), 8.0), 1e4)
    (tmp_path / "g.yaml").write_text(geometry_text(scan))
    call = (
        "simulate",
        tmp_path / "s.h5",
        "--modality",
        "ct",
        "--phantom",
        "shepp-logan",
        "--geometry",
        tmp_path / "g.yaml",
    )
    assert medrecon(*call).status == 0
    assert SinogramFile(tmp_path / "s.h5").scan == scan
    assert medrecon(*call, "--size", 26, "--photons", 100, "--overwrite").status == 0
    assert SinogramFile(tmp_path / "s.h5").scan == replace(scan, grid=Grid((26, 26), 10.0), photons=100.0)


def test_a_volume_is_projected(tmp_path: Path) -> None:
    body = torch.full((4, 40, 40), -1000.0)
    body[:, 8:32, 6:34] = 0
    body[2, 12:18, 22:30] = 600
    write_nifti(tmp_path / "v.nii.gz", CTVolume(body, (3.0, 2.0, 2.0)))
    path, out = tmp_path / "s.h5", tmp_path / "o.h5"
    done = medrecon("simulate", path, "--modality", "ct", "--from", tmp_path / "v.nii.gz", "--views", 90, "--slices", 2)
    assert (done.status, done.err) == (0, "")
    file = SinogramFile(path)
    assert (len(file), file.scan.grid) == (2, Grid((40, 40), 2.0))
    target = file[1].target
    assert target is not None
    torch.testing.assert_close(hounsfield_from_attenuation(target), body[2], rtol=0, atol=0.01)
    assert medrecon("reconstruct", path, "-o", out, "--method", "sirt", "--iterations", 40, "--hu").status == 0
    image = images(out)[1]
    assert image[20:30, 10:30].mean() == pytest.approx(0, abs=15)
    assert image[14:16, 24:28].mean() == pytest.approx(600, abs=60)


def test_methods_are_listed_for_their_modality() -> None:
    out = medrecon("methods").out
    listed = [line.split()[:2] for line in out.splitlines()]
    assert all(["CT", method] in listed for method in CLASSICAL_CT if method != "tv")
    assert "MRI, CT  tv " in out


def test_demo_compares_ct_methods_too(tmp_path: Path) -> None:
    done = medrecon("demo", "--folder", tmp_path / "demo", "--size", 64)
    assert (done.status, done.err) == (0, "")
    after = done.out.partition("CT: ")[2]
    rows = [line.split() for line in after.splitlines()]
    scores = {row[0]: float(row[1]) for row in rows if row and row[0] in CLASSICAL_CT}
    assert set(scores) == set(CLASSICAL_CT)
    assert scores["tv"] > scores["fbp"] + 2
    picture = tmp_path / "demo" / "ct_comparison.png"
    assert str(picture) in done.out.replace("\n", "")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "demo" / "abdomen.nii.gz").is_file()
