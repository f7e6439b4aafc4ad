"""A whole benchmark: what its rows say, that it goes on where it was cut off, and what a user sees when something is wrong."""

import json
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from medrecon.benchmark import Workers, load_benchmark, run_benchmark
from medrecon.benchmark.cases import Case, run_group
from medrecon.benchmark.ct_inputs import CTInputs
from medrecon.benchmark.inputs import open_inputs
from medrecon.benchmark.methods import build
from medrecon.benchmark.mri_inputs import MRIInputs
from medrecon.benchmark.rows import Row
from medrecon.benchmark.schedule import make_schedule
from medrecon.benchmark.sources import spread
from medrecon.commands.console import expected
from medrecon.config.benchmark import MethodEntry
from medrecon.data.ct.photons import count_photons
from medrecon.data.locks import hold_folder
from medrecon.errors import InputError
from medrecon.reconstructor import Reconstructor

from .settings import CT_DATA, MASK, MRI_DATA, Broken, Fixed, ct, mri, sense, zero_filled

HERE = Workers(0)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """The cases that are run from now on."""
    seen: list[Case] = []

    def watched(cases: Any, threads: int | None = None) -> Any:
        seen.extend(cases)
        return run_group(cases, threads)

    monkeypatch.setattr("medrecon.benchmark.cluster.run_group", watched)
    return seen


def test_rows_and_tables(tmp_path: Path) -> None:
    done = run_benchmark(mri([zero_filled(), sense(), sense("sense+rss", output="rss")]), tmp_path, HERE)
    assert [(row.method, row.slice) for row in done.rows] == [
        (name, place) for place in (0, 1) for name in ("zero-filled", "sense", "sense+rss")
    ]
    zero, plain, rss = done.rows[:3]
    assert {score.protocol for row in done.rows for score in row.scores} == {"fastmri-v1"}
    assert plain.scores[0].psnr > zero.scores[0].psnr  # type: ignore[operator]
    assert plain.settings == {"weight": 3.0, "iterations": 2, "tolerance": 1e-4}
    assert rss.settings["output"] == "rss"
    assert rss.residual is None
    assert "put back" in rss.residual_note
    assert 0.2 < plain.residual < zero.residual < 20  # type: ignore[operator]
    assert plain.sampling == zero.sampling
    assert plain.sampling.endswith("x")
    assert all(row.seconds is not None and row.seconds > 0 for row in done.rows)
    names = {"journal.jsonl", "rows.csv", "rows.json", "summary.csv", "summary.json", "summary.md"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert len(json.loads((tmp_path / "rows.json").read_text())["rows"]) == 6
    assert json.loads((tmp_path / "summary.json").read_text())["scenarios"][0]["protocol"] == "fastmri-v1"
    assert "## brain (fastmri-v1)" in (tmp_path / "summary.md").read_text()


def mri_inputs(case: Case, **changes: object) -> MRIInputs:
    inputs = open_inputs(case.scenario.model_copy(update=changes), case.image, case.seed)
    assert isinstance(inputs, MRIInputs)
    return inputs


def ct_inputs(case: Case, seed: int = 0) -> CTInputs:
    inputs = open_inputs(case.scenario, case.image, seed)
    assert isinstance(inputs, CTInputs)
    return inputs


def target_of(case: Case) -> Tensor:
    return open_inputs(case.scenario, case.image, 0).target[None]


def test_the_true_image_has_a_residual_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    (group,) = make_schedule(ct(data={**CT_DATA, "slices": 1, "photons": 2000})).groups
    inputs = ct_inputs(group[0])
    counted_rays = count_photons(inputs.A(inputs.target), 2000, torch.Generator().manual_seed(0))
    measured = replace(inputs, sample=replace(inputs.sample, sinogram=counted_rays))
    monkeypatch.setattr("medrecon.benchmark.cases.open_inputs", lambda *_: measured)
    monkeypatch.setattr("medrecon.benchmark.cases.build", lambda *_: Fixed(inputs.target[None]))
    (row,) = run_group(group)
    assert row.scores[0].psnr is None  # equal to the target
    assert row.scores[0].ssim == pytest.approx(1)
    assert row.nmse == 0
    assert row.residual == pytest.approx(1, abs=0.1)
    monkeypatch.setattr("medrecon.benchmark.cases.build", lambda *_: Fixed(0.9 * inputs.target[None]))
    (wrong,) = run_group(group)
    assert wrong.residual is not None
    assert wrong.residual > 1.5


@pytest.mark.parametrize(("factor", "kept"), [(1.0, 100.0), (0.5, 50.0)])
def test_a_perfect_image_keeps_all_of_a_lesion(monkeypatch: pytest.MonkeyPatch, factor: float, kept: float) -> None:
    lesion = {"diameter": 70, "edge": 12, "contrast": 0.3}
    (group,) = make_schedule(ct(lesion=lesion, data={**CT_DATA, "slices": 1})).groups
    image = Fixed(factor * target_of(group[0]))
    monkeypatch.setattr("medrecon.benchmark.cases.build", lambda *_: image)
    (row,) = run_group(group)
    assert row.lesion_contrast == pytest.approx(kept, rel=1e-4)


def test_goes_on_where_it_was_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = mri()
    whole = run_benchmark(settings, tmp_path, HERE)
    journal = tmp_path / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]) + lines[2][:40])  # cut in the midst of the third
    seen = counted(monkeypatch)
    again = run_benchmark(settings, tmp_path, HERE)
    assert [(case.entry.name, case.image.index) for case in seen] == [("zero-filled", 1), ("sense", 1)]
    assert again.kept == 2
    assert [row.scores for row in again.rows] == [row.scores for row in whole.rows]
    assert len(journal.read_text().splitlines()) == 4
    seen.clear()
    assert run_benchmark(settings, tmp_path, HERE).kept == 4
    assert not seen
    run_benchmark(settings, tmp_path, HERE, overwrite=True)
    assert len(seen) == 4


def test_a_full_disk_and_an_interruption_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, journal = mri(), tmp_path / "journal.jsonl"
    one = run_benchmark(settings, tmp_path / "whole", HERE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (tmp_path / "whole" / "journal.jsonl").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2 + 100, hard))  # in the midst of the third row
    try:
        with pytest.raises(OSError, match="journal") as caught:
            run_benchmark(settings, tmp_path, HERE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert expected(caught.value) == f"{journal}: the disk or the quota is full; free some space, or write elsewhere"

    def interrupted(cases: Any, threads: int | None = None) -> Any:
        yield from run_group(cases[:1], threads)
        raise KeyboardInterrupt

    monkeypatch.setattr("medrecon.benchmark.cluster.run_group", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(settings, tmp_path, HERE)
    seen = counted(monkeypatch)
    again = run_benchmark(settings, tmp_path, HERE)
    assert len(seen) == 1
    assert [row.scores for row in again.rows] == [row.scores for row in one.rows]


def test_only_what_changed_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_benchmark(mri(), tmp_path, HERE)
    seen = counted(monkeypatch)
    changed = {"name": "sense", "method": {"kind": "sense", "iterations": 3}}
    done = run_benchmark(mri([zero_filled(), changed]), tmp_path, HERE)
    assert {case.entry.name for case in seen} == {"sense"}
    assert done.rows[1].settings["iterations"] == 3
    seen.clear()
    run_benchmark(mri([zero_filled(), changed], snr=20), tmp_path, HERE)
    assert len(seen) == 4


def test_a_failed_case_is_a_row_and_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def some(entry: MethodEntry, *rest: Any) -> Reconstructor:
        return Broken() if entry.name == "sense" else build(entry, *rest)

    monkeypatch.setattr("medrecon.benchmark.cases.build", some)
    done = run_benchmark(mri(), tmp_path, HERE)
    assert [row.status for row in done.rows] == ["done", "failed"] * 2
    assert done.rows[1].reason == "this method takes another operator"
    assert len(done.failed) == 2
    assert "2 of 2 failed: this method takes another operator" in (tmp_path / "summary.md").read_text()
    monkeypatch.setattr("medrecon.benchmark.cases.build", build)
    again = run_benchmark(mri(), tmp_path, HERE)
    assert again.kept == 2
    assert not again.failed


def test_an_image_that_is_not_finite_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = Fixed(torch.full((1, 32, 32), torch.nan))
    monkeypatch.setattr("medrecon.benchmark.cases.build", lambda *_: nowhere)
    (row, *_) = run_group(make_schedule(ct()).groups[0])
    assert row.status == "failed"
    assert "not finite" in row.reason


def test_robustness_is_posed_as_said() -> None:
    case = make_schedule(mri()).cases[0]
    plain, fewer = mri_inputs(case), mri_inputs(case, coils=2)
    assert fewer.sample.kspace.shape[0] == 2
    assert fewer.data_range != plain.data_range
    noisy = mri_inputs(case, snr=5.0)
    assert noisy.sigma * noisy.scale > 2 * plain.sigma * plain.scale  # type: ignore[operator]
    assert torch.equal(noisy.target, plain.target)
    with pytest.raises(InputError, match="has 4 coils, and 9 are to be kept"):
        mri_inputs(case, coils=9)
    case = make_schedule(ct(views=12, photons=5000)).cases[0]
    thin = ct_inputs(case)
    assert thin.sample.geometry.shape[0] == 12
    assert thin.photons == pytest.approx(4000)  # of 20000 and 5000
    assert torch.equal(thin.sample.sinogram, ct_inputs(case).sample.sinogram)
    assert not torch.equal(thin.sample.sinogram, ct_inputs(case, seed=1).sample.sinogram)


def test_no_noise_has_no_residual() -> None:
    (row, *_) = run_group(make_schedule(mri(data={**MRI_DATA, "snr": None})).groups[0])
    assert (row.residual, row.residual_note) == (None, "the data hold no noise")
    (row, *_) = run_group(make_schedule(ct(data={**CT_DATA, "photons": None})).groups[0])
    assert row.residual is None
    assert "photons" in row.residual_note


def test_images_are_spread() -> None:
    assert list(spread(10, None)) == list(range(10))
    assert list(spread(10, 1)) == [5]
    assert list(spread(10, 2)) == [2, 7]
    assert list(spread(3, 5)) == [0, 1, 2]


def test_a_folder_or_a_file_of_settings_that_another_process_works_on_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with hold_folder(tmp_path, "running a benchmark"), pytest.raises(InputError, match="is at work there already"):
        run_benchmark(mri(), tmp_path, HERE)
    assert not (tmp_path / "journal.jsonl").exists()
    run_benchmark(mri(), tmp_path, HERE)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_journal_of_something_else_is_left_alone(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    journal.write_text('{"another": "file"}\n')
    with pytest.raises(InputError, match=r"line 1 is no row of this version .* --overwrite to begin anew"):
        run_benchmark(mri(), tmp_path, HERE)
    assert journal.read_text() == '{"another": "file"}\n'


def test_a_row_comes_back_from_its_json() -> None:
    row = Row("k", "mri", "p", "m", {"weight": 0.1}, False, "f", 3)
    values = json.loads(json.dumps(row.to_json()))
    assert Row.from_json(values) == row
    del values["lpips"]  # as in journals from before there was any
    assert Row.from_json(values) == row
    values["problem"], values["remarks"] = values.pop("scenario"), values.pop("notes")  # as these were called once
    assert Row.from_json(values) == row
    with pytest.raises(ValueError, match="not the values of a row"):
        Row.from_json({"key": "k"})


CONFIG: dict[str, Any] = {
    "name": "t",
    "mri": {"methods": [zero_filled()], "scenarios": [{"name": "brain", "data": MRI_DATA, "mask": MASK}]},
}


def written(path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump({**CONFIG, **changes}))
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"imags": 2}, r"imags: there is no such key; allowed are name, seed, resamples, images"),
        ({"mri": {**CONFIG["mri"], "methods": [zero_filled(wieght=1)]}}, "wieght: there is no such key"),
        ({"mri": {**CONFIG["mri"], "methods": [{"name": "x", "method": {"kind": "tw"}}]}}, r"'tw'; allowed are"),
        ({"mri": {**CONFIG["mri"], "methods": [zero_filled(), zero_filled()]}}, "two are called 'zero-filled'"),
        ({"mri": {**CONFIG["mri"], "methods": [zero_filled(scenarios=["head"])]}}, "no scenario is called 'head'"),
        ({"mri": None}, "nothing to compare; give mri or ct"),
    ],
)
def test_what_is_wrong_with_a_configuration(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_benchmark(written(tmp_path / "b.yaml", **change))


def test_names_of_earlier_versions_are_taken_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scenario = {"name": "brain", "data": MRI_DATA, "mask": MASK}
    custom = {"name": "x", "method": {"kind": "own", "import": "my.module:name"}, "problems": ["brain"]}
    path = written(tmp_path / "b.yaml", mri={"methods": [zero_filled(), custom], "problems": [scenario]})
    settings = load_benchmark(path, ["mri.problems.0.snr=5"])
    assert settings.mri is not None
    assert settings.mri.scenarios[0].snr == 5
    assert settings.mri.methods[1].scenarios == ("brain",)
    assert settings.mri.methods[1].method.kind == "custom"
    told = [record.getMessage() for record in caplog.records]
    assert [note.count(str(path)) for note in told] == [1, 1]  # once each
    assert "the kind `own` is called `custom` now" in told[0]
    assert "the key `problems` is called `scenarios` now" in told[1]
    both = written(
        tmp_path / "two.yaml", mri={"methods": [zero_filled()], "problems": [scenario], "scenarios": [scenario]}
    )
    with pytest.raises(InputError, match=r"mri\.problems: there is no such key"):
        load_benchmark(both)


def test_missing_data_is_told_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDRECON_DATA", str(tmp_path / "none"))
    settings = mri(data={"kind": "fastmri", "dataset": "brain-axt2"})
    with pytest.raises(InputError, match=r"scenario 'brain': .*medrecon data fetch brain-axt2"):
        run_benchmark(settings, tmp_path / "out", HERE)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match=r"is no folder; set data\.folder"):
        make_schedule(ct(data={"kind": "lodopab", "folder": str(tmp_path / "none")}))


def test_missing_weights_are_told_before_anything_runs(tmp_path: Path) -> None:
    entry = {"name": "net", "method": {"kind": "varnet", "weights": str(tmp_path / "none.safetensors")}}
    with pytest.raises(InputError, match=r"none\.safetensors.*medrecon weights list"):
        run_benchmark(mri([entry]), tmp_path / "out", HERE)
    assert not (tmp_path / "out").exists()


def test_several_workers_without_dask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with Workers(2) as workers, pytest.raises(InputError, match="pip install distributed`, or give --workers 0"):
        run_benchmark(mri(), tmp_path, workers)
