"""`medrecon reconstruct --report`: what the page holds is what was written, and what was compared with it."""

import errno
import json
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from medrecon.commands.jobs import FileJob
from medrecon.commands.pages import numbers_of
from medrecon.data.ct.lodopab import write_lodopab
from medrecon.data.ct.projections import phantom_image, phantom_sinogram
from medrecon.data.ct.sinogram_files import SinogramFile
from medrecon.data.mri.fastmri import FastMRIFile
from medrecon.data.mri.masks import equispaced_fraction_mask, mask_seed
from medrecon.geometry import lodopab, lodopab_grid
from medrecon.problem import ct_problem, full_reconstruction, remove_oversampling, sense_problem, undersample
from medrecon.reconstructors import Sense
from medrecon.report import html
from medrecon.report.cases import pooled_shape
from tests.program import Finished, medrecon, simulate
from tests.report.test_html import Page
from tests.settings import ct, mri
from tests.sinogram_files import GEOMETRY, GRID, PHANTOM, write_scan
from tests.test_learned import NETWORKS, trained

MASK = ("--mask", "equispaced-fraction", "--acceleration", 3, "--center-fraction", 0.2)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("mri") / "scan.h5", slices=3)


@pytest.fixture(scope="module")
def sinograms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scan(tmp_path_factory.mktemp("ct") / "ct.h5", slices=2, photons=5000)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Finished]:
    def call(*arguments: object) -> Finished:
        return medrecon("reconstruct", *arguments, "--report", tmp_path / "r.html")

    return call


def written(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        values: np.ndarray = file["reconstruction"][()]
    return values


def same(found: np.ndarray, wanted: np.ndarray | torch.Tensor) -> bool:
    """But for the 16 bits of a page, and what float32 loses."""
    values = np.asarray(wanted, dtype=np.float64)
    return found.shape == values.shape and bool(np.abs(found - values).max() <= 2e-5 * np.abs(values).max())


def rows(page: Page, number: int = 0) -> dict[str, dict[str, object]]:
    """The table of scores of a case, by method and column."""
    table = page.values["cases"][number]["table"]
    names = [column["name"] for column in table["columns"]]
    return {row[0]: dict(zip(names, row, strict=True)) for row in table["rows"]}


def test_a_page_of_mri_holds_what_was_written_the_target_and_what_was_done(
    scan: Path, tmp_path: Path, run: Callable[..., Finished]
) -> None:
    out, values = tmp_path / "out.h5", tmp_path / "r.json"
    call = (scan, "-o", out, "--method", "tv", "--iterations", 4, *MASK, "--slices", "1:", "--json", values)
    done = run(*call, "--compare", "rss", "--compare", "sense")
    assert (done.status, done.err) == (0, "")
    assert f"report {tmp_path / 'r.html'}" in done.out
    page, report = Page(tmp_path / "r.html"), json.loads(values.read_text())
    (case,) = page.values["cases"]
    assert (case["name"], case["names"], case["firstSlice"]) == ("scan.h5", ["tv", "rss", "sense"], 1)
    assert (case["measured"], case["pixel"], report["pixel"]) == (True, [1.0, 1.0], [1.0, 1.0])
    assert same(page.images(0, "image-0"), written(out))
    assert same(page.images(0, "target"), torch.stack([full_reconstruction(FastMRIFile(scan)[i]) for i in (1, 2)]))
    lines = equispaced_fraction_mask(40, 3, 0.2, mask_seed("scan.h5")).sampled
    assert np.array_equal(page.images(0, "mask")[0, 0], lines.numpy())
    metrics = report["metrics"]
    row = rows(page)["tv"]
    assert (row["protocol"], row["PSNR (dB)"], row["SSIM"]) == ("fastmri-v1", metrics["psnr"], metrics["ssim"])
    assert row["NMSE"] == metrics["nmse"]
    facts, of_tv = dict(case["facts"]), dict(case["methodFacts"][0])
    assert facts["sampling"] == report["sampling"]
    assert facts["mask: center fraction"] == "0.2"
    assert facts["true acceleration"] == "2.857"
    assert (of_tv["iterations"], facts["coil maps"], of_tv["written to"]) == ("4", "espirit", "out.h5")
    assert of_tv["version"] == report["version"]
    assert "patient" not in page.texts["report"]


def test_methods_that_are_compared_give_what_they_give_alone(
    scan: Path, tmp_path: Path, run: Callable[..., Finished]
) -> None:
    call = (scan, "-o", tmp_path / "out.h5", "--method", "zero-filled", *MASK)
    assert run(*call, "--compare", "sense").status == 0
    alone, values = tmp_path / "alone.h5", tmp_path / "r.json"
    assert medrecon("reconstruct", scan, "-o", alone, "--method", "sense", *MASK, "--json", values).status == 0
    page = Page(tmp_path / "r.html")
    assert same(page.images(0, "image-1"), written(alone))
    assert rows(page)["sense"]["PSNR (dB)"] == json.loads(values.read_text())["metrics"]["psnr"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone.h5", "out.h5", "r.html", "r.json"]


def test_residuals_are_what_an_image_leaves_of_k_space(
    scan: Path, tmp_path: Path, run: Callable[..., Finished]
) -> None:
    assert run(scan, "-o", tmp_path / "o.h5", "--method", "sense", *MASK, "--compare", "rss").status == 0
    page, mask = Page(tmp_path / "r.html"), equispaced_fraction_mask(40, 3, 0.2, mask_seed("scan.h5"))
    wanted = []
    for sample in FastMRIFile(scan):
        problem = sense_problem(undersample(remove_oversampling(sample), mask))
        y, A = problem.y, problem.A
        wanted.append(problem.display_image(A.H(y - A(Sense()(y, A)))))
    found = page.images(0, "residual-0")
    assert np.abs(found - torch.stack(wanted).numpy()).max() < 1e-3 * np.abs(found).max()
    assert "residual-1" not in page.values["cases"][0]["stacks"]  # magnitudes have no k-space


def test_a_page_of_ct_is_in_the_unit_that_was_written(
    sinograms: Path, tmp_path: Path, run: Callable[..., Finished]
) -> None:
    out = tmp_path / "out.h5"
    assert run(sinograms, "-o", out, "--hu", "--views", 30, "--compare", "sirt").status == 0
    page = Page(tmp_path / "r.html")
    (case,) = page.values["cases"]
    assert (case["unit"], case["names"], case["pixel"]) == ("HU", ["fbp", "sirt"], [2.0, 2.0])
    assert same(page.images(0, "image-0"), written(out))
    presets = {one["name"]: (one["low"], one["high"]) for one in case["presets"]}
    assert presets["soft tissue"] == (-160, 240)
    low, high = presets["of these images"]
    assert low == pytest.approx(-1000, abs=2)  # air
    assert high > 0  # water, and more
    facts = dict(case["facts"])
    assert (facts["views"], facts["measured views"], facts["photons"], facts["pixel"]) == ("30", "60", "5000", "2 mm")
    assert rows(page)["fbp"]["protocol"] == "lodopab"


def test_residuals_of_ct_are_those_of_the_rays(sinograms: Path, tmp_path: Path, run: Callable[..., Finished]) -> None:
    out = tmp_path / "out.h5"
    assert run(sinograms, "-o", out).status == 0
    A = ct_problem(list(SinogramFile(sinograms))).A
    y = torch.stack([sample.sinogram for sample in SinogramFile(sinograms)])
    assert same(Page(tmp_path / "r.html").images(0, "residual-0"), (y - A(torch.from_numpy(written(out)))).abs())
    assert pooled_shape((60, 64)) == (60, 64)
    assert pooled_shape((1000, 513)) == (500, 257)


def test_a_scan_without_a_target_has_no_scores(tmp_path: Path, run: Callable[..., Finished]) -> None:
    source = write_scan(tmp_path / "ct.h5", target=False)
    assert run(source, "-o", tmp_path / "o.h5").status == 0
    page = Page(tmp_path / "r.html")
    assert "target" not in page.values["cases"][0]["stacks"]
    assert list(rows(page)["fbp"]) == ["method", "seconds"]


def test_images_of_lodopab_stand_upright(tmp_path: Path, run: Callable[..., Finished]) -> None:
    write_lodopab(tmp_path, "test", [(phantom_sinogram(PHANTOM, lodopab()), phantom_image(PHANTOM, lodopab_grid()))])
    out = tmp_path / "o.h5"
    assert run(tmp_path / "observation_test_000.hdf5", "-o", out, "--views", 50).status == 0
    page = Page(tmp_path / "r.html")
    (case,) = page.values["cases"]
    assert case["unit"] == "normalized attenuation"
    assert same(page.images(0, "image-0"), written(out).transpose(0, 2, 1))
    bright = np.unravel_index(page.images(0, "target")[0].argmax(), (362, 362))
    assert bright[0] < 181 < bright[1]  # above and right of the middle
    presets = {one["name"]: (one["low"], one["high"]) for one in case["presets"]}
    assert presets["lung"][0] < 0 < presets["lung"][1] < presets["bone"][1] < 1
    assert {"PSNR, lodopab-fr", "SSIM, lodopab-fr"} <= set(dict(case["methodFacts"][0]))


def test_every_input_is_a_case_and_one_that_fails_costs_none_of_the_others(
    scan: Path, sinograms: Path, tmp_path: Path, run: Callable[..., Finished]
) -> None:
    broken = tmp_path / "broken.h5"
    broken.write_text("no HDF5")
    done = run(scan, broken, sinograms, "-o", tmp_path / "out", "--compare", "tv")
    assert done.status == 2
    assert done.complaint.startswith(f"{broken}: ")
    page = Page(tmp_path / "r.html")
    assert [(case["name"], case["names"]) for case in page.values["cases"]] == [
        ("scan.h5", ["wavelet", "tv"]),
        ("ct.h5", ["fbp", "tv"]),
    ]
    (table,) = page.values["tables"]
    assert [row[:2] for row in table["rows"]] == [
        ["scan.h5", "wavelet"],
        ["scan.h5", "tv"],
        ["ct.h5", "fbp"],
        ["ct.h5", "tv"],
        ["broken.h5", None],
    ]
    assert [row[-1][:6] for row in table["rows"]] == ["done"] * 4 + ["failed"]
    assert same(page.images(1, "image-0"), written(tmp_path / "out" / "ct.h5"))


def test_where_all_inputs_fail_there_is_no_page(tmp_path: Path, run: Callable[..., Finished]) -> None:
    done = run(tmp_path / "a.h5", tmp_path / "b.h5", "-o", tmp_path / "out", "--json", tmp_path / "r.json")
    assert done.status == 2
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_a_method_that_fails_is_left_out_with_a_note(
    scan: Path, tmp_path: Path, run: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: object) -> None:
        raise ArithmeticError("the iteration diverges")

    monkeypatch.setattr(Sense, "__call__", diverge)
    done = run(scan, "-o", tmp_path / "o.h5", "--method", "zero-filled", "--compare", "sense", "--compare", "rss")
    assert done.status == 2
    assert done.complaint.startswith("--compare sense failed: ")
    (case,) = Page(tmp_path / "r.html").values["cases"]
    assert case["names"] == ["zero-filled", "rss"]
    assert any("sense failed" in note and "diverges" in note for note in case["notes"])
    assert written(tmp_path / "o.h5").shape == (3, 48, 40)


def test_weights_of_one_method_are_compared_by_their_names(
    scan: Path, tmp_path: Path, run: Callable[..., Finished]
) -> None:
    values, network, changes = NETWORKS["modl"]
    one, two = (trained(tmp_path / name, values, network, **changes) for name in ("one", "two"))
    call = (scan, "-o", tmp_path / "o.h5", *MASK, "--slices", 0, "--weights", one)
    done = run(*call, "--compare", f"modl={two}", "--compare", "rss")
    assert (done.status, done.err) == (0, "")
    (case,) = Page(tmp_path / "r.html").values["cases"]
    assert case["names"] == [f"modl ({one})", f"modl ({two})", "rss"]
    assert dict(case["methodFacts"][1])["weights"] == str(two)
    assert any(note.startswith(f"modl ({one}): the weights {one} were trained on") for note in case["notes"])
    twice = run(*call, "--overwrite", "--compare", f"modl={one}")
    assert f"modl ({one}) is in the report" in twice.complaint


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--compare", "fbp"), "--compare fbp: .*scan.h5 holds k-space of MRI, whose methods are zero-filled"),
        (("--compare", "wavelet"), "--compare wavelet: wavelet is in the report of .*scan.h5 already"),
        (("--compare", "rss", "--compare", "rss"), "--compare rss: rss is in the report"),
        (("--compare", "best"), "--compare best: takes METHOD or METHOD=WEIGHTS, of zero-filled"),
        (("--compare", "tv=x.safetensors"), "--compare tv=x.safetensors: the method tv has no weights"),
        (("--compare", "modl=x.safetensors"), "--compare modl=x.safetensors: there are no weights of this name"),
        (("--compare", "primal-dual"), "give --compare primal-dual=FILE"),
        (("--report", "r.txt"), "r.txt: the report is an HTML file; name it"),
        (("--report", "no/r.html"), "no/r.html: its folder .* does not exist"),
        (("--report", "there.html"), "there.html: exists already; give --overwrite"),
        (("--report", "o.h5"), "o.h5: is another output of this call"),
        (("--report", "r.json", "--json", "r.json"), "r.json: is another output of this call"),
    ],
)
def test_refused_before_anything_is_reconstructed(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.html").write_text("kept")
    report = () if "--report" in options else ("--report", "r.html")
    done = medrecon("reconstruct", scan, "-o", "o.h5", *report, *options)
    assert done.status == 2
    assert re.search(text, done.complaint), done.complaint
    assert [path.name for path in tmp_path.iterdir()] == ["there.html"]
    assert Path("there.html").read_text() == "kept"


def test_compare_needs_a_report(scan: Path, tmp_path: Path) -> None:
    done = medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--compare", "rss")
    assert done.complaint == "--compare shows methods in the report; give --report R.html, too"


def test_a_page_that_exists_is_replaced_when_that_is_asked_for(
    scan: Path, tmp_path: Path, run: Callable[..., Finished]
) -> None:
    call = (scan, "-o", tmp_path / "o.h5", "--method", "rss", "--slices", 0, "--overwrite")
    assert run(*call).status == 0
    first = (tmp_path / "r.html").read_text()
    assert run(*call, "--compare", "zero-filled").status == 0
    assert (tmp_path / "r.html").read_text() != first


def test_a_page_too_large_is_refused_before_anything_is_reconstructed(
    scan: Path, tmp_path: Path, run: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = 48 * 40 * 2  # bytes of an image
    monkeypatch.setattr(html, "LARGEST_PAGE", 9 * one - 1)  # of three images by two methods, and three targets
    call = (scan, "-o", tmp_path / "o.h5", *MASK, "--compare", "rss")
    done = run(*call)
    assert done.status == 2
    assert "browsers open pages of up to" in done.complaint
    assert "--slices" in done.complaint
    assert list(tmp_path.iterdir()) == []
    assert run(*call, "--slices", ":2").status == 0


def test_residuals_are_left_out_where_only_images_have_room(
    scan: Path, tmp_path: Path, run: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "LARGEST_PAGE", 48 * 40 * 2 * 8)  # three images, three targets, and the mask
    assert run(scan, "-o", tmp_path / "o.h5", "--method", "zero-filled", *MASK).status == 0
    (case,) = Page(tmp_path / "r.html").values["cases"]
    assert set(case["stacks"]) == {"image-0", "target", "mask"}
    assert any("no residual maps" in note for note in case["notes"])


def test_the_size_of_a_page_is_known_before(
    scan: Path, sinograms: Path, tmp_path: Path, run: Callable[..., Finished]
) -> None:
    assert run(scan, sinograms, "-o", tmp_path / "out", "--slices", ":2").status == 0
    jobs = (scan, mri("wavelet", slices={"stop": 2})), (sinograms, ct("fbp", slices={"stop": 2}))
    known = [numbers_of(FileJob(source, tmp_path, settings=settings)) for source, settings in jobs]
    for number, (images, residuals) in enumerate(known):
        stacks = Page(tmp_path / "r.html").values["cases"][number]["stacks"]
        sizes = {name: int(np.prod(stack["shape"])) for name, stack in stacks.items()}
        assert sizes["image-0"] + sizes.get("target", 0) == images
        assert sizes["residual-0"] == residuals
    assert known[1] == (2 * 2 * GRID.shape[0] * GRID.shape[1], 2 * GEOMETRY.shape[0] * GEOMETRY.shape[1])


@pytest.mark.parametrize("fails", ["preview", "json", "report"])
def test_an_error_after_the_images_says_that_they_are_there(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target = {
        "preview": "medrecon.report.figures.preview",
        "json": "medrecon.commands.reconstruct.json.dumps",
        "report": "medrecon.report.html.atomic_file",
    }
    out = tmp_path / "o.h5"
    beside = ("--preview", tmp_path / "o.png", "--json", tmp_path / "o.json")
    before = () if fails != "report" else ("--report", tmp_path / "r.html")
    monkeypatch.setattr(target[fails], full)
    done = medrecon("reconstruct", scan, "-o", out, "--method", "rss", *beside, *before)
    assert done.status == 2
    assert "the disk or the quota is full" in done.complaint
    assert done.complaint.endswith(f"; {out} was written before")
    assert "nothing was written" not in done.complaint
    assert written(out).shape[0] == 3
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_an_error_before_the_images_does_not(scan: Path, tmp_path: Path) -> None:
    done = medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--preview", tmp_path / "none" / "o.png")
    assert (done.status, "was written" in done.complaint) == (2, False)
