"""README.md: its tables are those of their sources, and what it tells a user to type works."""

import importlib
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from medrecon.commands.program import app
from medrecon.config import METHODS
from medrecon.weights.shipped import SHIPPED
from performance.update_readme import (
    PAGES,
    README,
    RESULTS,
    ROOT,
    Table,
    filled,
    markdown_table,
    methods,
    quality,
    render,
    require_places,
    sections,
    speed,
)
from tests.program import medrecon, simulate
from tests.sinogram_files import write_scan

TEXT = README.read_text("utf-8")
MADE = {
    "title": "SENSE",
    "measured_with": "python performance/x.py",
    "date": "2026-01-31",
    "machine": "two cores",
    "columns": ["who", "seconds"],
    "rows": [["a|b", 0.5], ["c", "~2"]],
    "notes": ["A note."],
}


def test_the_tables_are_up_to_date() -> None:
    texts, found = [page.read_text("utf-8") for page in PAGES], sections(RESULTS)
    require_places(texts, found)
    for text in texts:
        assert filled(text, found) == text, "run `make readme`"


def test_pictures_and_links_are_there_and_small() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in link]
    assert {"docs/images/demo.png", "docs/images/demo_ct.png"} <= set(links)
    for link in links:
        assert (ROOT / link).is_file(), link
        assert (ROOT / link).stat().st_size < (1 << 20 if link.endswith(".ipynb") else 300_000), link


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    simulate(tmp_path / "scan.h5", size=(48, 96))
    write_scan(tmp_path / "ct.h5")
    for block in blocks:
        exec(compile(block, str(README), "exec"), {})


def readme_commands() -> list[list[str]]:
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)).replace("\\\n", " ")
    return [shlex.split(line, comments=True)[1:] for line in shell.splitlines() if line.startswith("medrecon ")]


def is_long(command: list[str]) -> bool:
    return command[0] in ("train", "tune", "benchmark") or command[:2] == ["weights", "score"]


def put_weights(folder: Path) -> None:
    run = folder / "runs" / "mine"
    run.mkdir(parents=True)
    shutil.copy(SHIPPED / "varnet_brain_small.safetensors", run / "best.safetensors")


@pytest.mark.slow
def test_the_commands_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = [command for command in readme_commands() if not is_long(command)]
    assert {"simulate", "reconstruct", "inspect", "data", "weights"} <= {command[0] for command in commands}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDRECON_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr("medrecon.workflows.preparation.prepare", lambda _name, _progress, packed: packed or tmp_path)
    (tmp_path / "scans").mkdir()
    simulate(tmp_path / "scans" / "a.h5")
    put_weights(tmp_path)
    for command in commands:
        done = medrecon(*command)
        assert (done.status, done.err) == (0, ""), command


def test_the_long_commands_of_the_readme_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their work is left out: options are known, and configurations are read."""
    started: list[str] = []

    class ReachedError(Exception):
        pass

    def stop(name: str) -> Callable[..., None]:
        def note(*_: object, **__: object) -> None:
            started.append(name)
            raise ReachedError

        return note

    monkeypatch.chdir(tmp_path)
    assert medrecon("configs", "copy", "benchmark_mri").status == 0
    put_weights(tmp_path)
    monkeypatch.setattr("medrecon.workflows.training.train_network", stop("train"))
    monkeypatch.setattr("medrecon.benchmark.run_benchmark", stop("benchmark"))
    monkeypatch.setattr("medrecon.workflows.scoring.score_weights", stop("weights"))
    monkeypatch.setattr("medrecon.benchmark.tune_method", stop("tune"))
    commands = [command for command in readme_commands() if is_long(command)]
    for command in commands:
        with pytest.raises(ReachedError):
            app(command, standalone_mode=False)
    assert started == [command[0] for command in commands]
    assert set(started) == {"train", "tune", "benchmark", "weights"}


def test_a_benchmark_is_shown_with_its_circumstances() -> None:
    assert render(Table.model_validate_json(json.dumps(MADE))) == (
        "**SENSE**\n\n| who | seconds |\n| --- | ---: |\n| a\\|b | 0.5 |\n| c | ~2 |\n\n- A note.\n\n"
        "Measured with `python performance/x.py` on 2026-01-31, two cores."
    )


@pytest.mark.parametrize("fault", [{"rows": [["a"]]}, {"extra": 1}, {"date": "soon"}, {"columns": ["who"]}])
def test_a_benchmark_that_is_not_whole_is_refused(fault: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Table.model_validate_json(json.dumps(MADE | fault))


def test_markers_and_contents_must_match() -> None:
    text = "<!-- begin: a -->\nold\n<!-- end: a -->\nkept\n<!-- begin: b -->\n<!-- end: b -->\n"
    assert filled(text, {"a": "new \\1", "b": "more"}) == (
        "<!-- begin: a -->\nnew \\1\n<!-- end: a -->\nkept\n<!-- begin: b -->\nmore\n<!-- end: b -->\n"
    )
    with pytest.raises(ValueError, match=r"docs/benchmarks/b\.json is missing"):
        filled(text, {"a": "new"})
    with pytest.raises(ValueError, match="no page has a place for 'c'; add the lines <!-- begin: c -->"):
        require_places([text], {"a": "", "b": "", "c": ""})


def test_speed_picks_rows_as_they_were_measured() -> None:
    projectors = {"columns": ["scan", "batch", "operation", "medrecon", "ASTRA", "DeepInverse"]}
    rows = [
        ["fan", 1, "forward", "9 (8-10)", "1 (1x)", ""],
        ["lodopab", 8, "adjoint", "7 (6-8)", "70 (10x)", "80 (11x)"],
    ]
    classical = {"columns": ["size", "method", "peer", "seconds", "ratio"]}
    times = [["16 x 640 x 320", "tv", peer, "0.2 / 2", ratio] for peer, ratio in (("sigpy", "10x"), ("bart", "4x"))]
    learned = {"columns": ["task", "medrecon", "beside", "seconds", "ratio"]}
    networks = [
        ["inference", "bfloat16", "fastMRI float32", "1.5 / 6", "4x"],
        ["inference", "bfloat16, compiled", "fastMRI float32", "1.6 / 6", "3.75x"],
        ["primal-dual", "training step", "on ASTRA", "3 / 9", "3x"],
    ]
    tables = {
        "networks": Table.model_validate_json(json.dumps(MADE | learned | {"rows": networks})),
        "ct_projectors": Table.model_validate_json(json.dumps(MADE | projectors | {"rows": rows})),
        "mri_classical": Table.model_validate_json(json.dumps(MADE | classical | {"rows": times})),
    }
    text = speed(tables)
    assert "| CT adjoint, LoDoPaB, batch 8 | 7 ms | 70 (10x) | 80 (11x) |" in text
    assert "| MRI tv, 16 x 640 x 320 | 0.2 s | 10x | 4x |" in text
    assert "| end-to-end VarNet, inference, bfloat16 | fastMRI float32 | 1.5 s | 4x |" in text
    assert "| learned primal-dual, training step | on ASTRA | 3 s | 3x |" in text
    assert "forward" not in text
    assert "compiled" not in text


def test_every_method_has_a_row() -> None:
    names = [row.split("`")[1] for row in methods().splitlines()[2:]]
    assert names == list(METHODS)
    assert markdown_table(("x",), []) == "| x |\n| --- |"


def _method(name: str, psnr: float, low: float | None) -> dict[str, object]:
    high = None if low is None else 2 * psnr - low
    return {
        "method": name,
        "failed": 0,
        "reason": "",
        "psnr": {"mean": psnr, "low": low, "high": high},
        "ssim": {"mean": 0.9123},
    }


def _summary(failed: int = 0) -> dict[str, object]:
    def scenario(name: str, protocol: str, images: int, *methods: dict[str, object]) -> dict[str, object]:
        about = {"protocol": protocol, "sampling": "4.00x", "images": images, "files": 2, "unit": "by chance"}
        return {"scenario": name, **about, "methods": list(methods)}

    lost = {**_method("tv", 31.0, None), "failed": failed, "reason": "too large"}
    scenarios = [
        scenario("a", "first", 6, _method("sense", 30.0, 29.5), lost),
        scenario("a", "second", 6, _method("sense", 20.0, 19.5), lost),
        scenario("b", "first", 1, _method("sense", 25.0, None), {**lost, "psnr": None}),
    ]
    return {"name": "some", "scenarios": scenarios, "date": "2026-01-31", "machine": "two cores"}


def test_scores_are_shown_by_scenario_with_their_intervals() -> None:
    text = quality(_summary(), {"a": "A", "b": "B"}, "Heads")
    assert "| method | A | B |" in text
    assert "| `sense` | 30.00 [29.50, 30.50] / 0.912 | 25.00 / 0.912 |" in text
    assert "| `tv` | 31.00 / 0.912 |  |" in text
    assert "- A: 6 test images of 2 volumes, 4.00x, protocol first; intervals: by chance" in text
    assert "- B: 1 image, 4.00x" in text
    assert "`medrecon benchmark configs/some.yaml` on 2026-01-31, two cores." in text


def test_a_benchmark_is_kept_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "performance")
    module = importlib.import_module("keep")
    keep, files = module.keep, module.KEPT
    results, kept = tmp_path / "results", tmp_path / "kept"
    results.mkdir()
    for name in files:
        (results / name).write_text(name)
    (results / "summary.json").write_text(json.dumps(_summary(failed=2)))
    with pytest.raises(ValueError, match="tv on 'a': too large"):
        keep(results, kept)
    assert not kept.exists()
    (results / "summary.json").write_text(json.dumps(_summary()))
    assert keep(results, kept) == kept / "some"
    assert {file.name for file in (kept / "some").iterdir()} == {*files, "summary.json"}
    assert json.loads((kept / "some" / "summary.json").read_text())["scenarios"] == _summary()["scenarios"]
    keep(results, kept, ["tv is of yesterday"])
    assert (kept / "some" / "summary.md").read_text().endswith("- tv is of yesterday\n")
    assert "- tv is of yesterday\n" in quality(
        json.loads((kept / "some" / "summary.json").read_text()), {"a": "A"}, "Heads"
    )
