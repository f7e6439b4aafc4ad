"""The page of a benchmark: which images it shows, that they are those of the rows, and that they are kept."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from medrecon.benchmark import Workers, cluster, page, run_benchmark, write_page
from medrecon.benchmark.cases import Case, Picture, run_pictures
from medrecon.benchmark.choice import choose
from medrecon.benchmark.inputs import open_inputs
from medrecon.benchmark.methods import build
from medrecon.benchmark.rows import FAILED, Row, Score
from medrecon.benchmark.run import Finished
from medrecon.benchmark.schedule import make_schedule
from medrecon.config.benchmark import BenchmarkSettings
from medrecon.data.ct.attenuation import attenuation_from_hounsfield
from medrecon.errors import InputError
from medrecon.metrics import psnr
from medrecon.operators import LinearOperator
from medrecon.report.html import write_html
from medrecon.report.viewer_report import ViewerReport

from .settings import CT_DATA, ct, mri, zero_filled

HERE = Workers(0)
LESION = {"diameter": 70, "edge": 12, "contrast": 0.3}


def finished(settings: BenchmarkSettings, folder: Path) -> Finished:
    return run_benchmark(settings, folder, HERE)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[ViewerReport]:
    """The reports that are written from now on."""
    reports: list[ViewerReport] = []

    def watched(path: Path, report: ViewerReport, *, overwrite: bool) -> None:
        reports.append(report)
        write_html(path, report, overwrite=overwrite)

    monkeypatch.setattr(page, "write_html", watched)
    return reports


def run_again(monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """The cases that are run for their images from now on."""
    seen: list[Case] = []

    def watched(cases: Any, threads: int | None = None) -> Iterator[Picture]:
        seen.extend(cases)
        return run_pictures(cases, threads)

    monkeypatch.setattr(cluster, "run_pictures", watched)
    return seen


def test_images_are_those_that_were_scored(tmp_path: Path, shown: list[ViewerReport]) -> None:
    done = finished(mri(), tmp_path)
    assert write_page(tmp_path / "r.html", done, HERE) == 2
    (report,) = shown
    for case, row in zip(report.cases, done.rows[::2], strict=True):
        assert case.name == f"brain: phantom brain, slice {row.slice}"
        assert [method.name for method in case.methods] == ["zero-filled", "sense"]
        assert case.target is not None
        assert row.data_range is not None
        found = psnr(case.methods[0].images[0], case.target[0], data_range=row.data_range)
        assert found == pytest.approx(row.scores[0].psnr, abs=1e-6)
        assert case.methods[0].scores.psnr == row.scores[0].psnr
        assert case.methods[0].scores.protocol == "fastmri-v1"
        assert case.mask is not None
        assert case.pixel == (8.0, 8.0)
        assert case.facts["sampling"] == row.sampling
    assert "chosen as" in report.cases[0].facts
    (table,) = report.tables
    row_of = dict(zip((column.name for column in table.columns), table.rows[1], strict=True))
    assert (row_of["protocol"], row_of["method"], row_of["images"]) == ("fastmri-v1", "sense", 2)
    assert row_of["PSNR (dB)"] == done.summaries[0].methods[1].psnr.mean  # type: ignore[union-attr]
    assert " to " in str(row_of["PSNR 95 %"])
    assert "failed" not in row_of
    assert "fastmri-v1" in (tmp_path / "r.html").read_text()


def test_a_page_is_made_again_without_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done, seen = finished(mri(), tmp_path), run_again(monkeypatch)
    write_page(tmp_path / "r.html", done, HERE)
    assert len(seen) == 4
    seen.clear()
    write_page(tmp_path / "r.html", done, HERE)
    assert not seen
    kept = sorted((tmp_path / "images").iterdir())
    kept[0].unlink()
    kept[1].write_bytes(b"cut short")
    write_page(tmp_path / "r.html", done, HERE)
    assert {case.key for case in seen} == {kept[0].stem, kept[1].stem}
    seen.clear()
    write_page(tmp_path / "r.html", done, HERE, overwrite=True)
    assert len(seen) == 4


def test_no_more_is_kept_than_is_shown(tmp_path: Path) -> None:
    done = finished(mri(), tmp_path)
    own = tmp_path / "images" / "mine.npy"
    write_page(tmp_path / "r.html", done, HERE)
    own.write_bytes(b"of the user")
    assert write_page(tmp_path / "r.html", done, HERE, images=1) == 1
    left = sorted((tmp_path / "images").iterdir())
    assert own in left
    assert len(left) == 3
    assert sum(np.load(path).nbytes for path in left if path != own) == 2 * 32 * 32 * 4


def test_a_lesion_is_pointed_at(tmp_path: Path, shown: list[ViewerReport]) -> None:
    done = finished(ct(lesion=LESION, data={**CT_DATA, "slices": 1}), tmp_path)
    write_page(tmp_path / "r.html", done, HERE)
    (case,) = shown[0].cases
    assert case.facts["chosen as"] == "the only one"
    assert case.unit == "HU"
    assert case.target is not None
    words = next(note for note in case.notes if "lesion" in note)
    row, column = (int(words.split(name)[1].split(",")[0]) for name in ("at row ", "column "))
    plain = finished(ct(data={**CT_DATA, "slices": 1}), tmp_path / "plain")
    write_page(tmp_path / "p.html", plain, HERE)
    without = shown[1].cases[0]
    assert not without.notes
    assert without.target is not None
    added = attenuation_from_hounsfield(case.target[0]) - attenuation_from_hounsfield(without.target[0])
    assert float(added[row, column]) == pytest.approx(float(added.max()), rel=1e-3)
    assert case.methods[0].facts["lesion contrast kept"] == f"{done.rows[0].lesion_contrast:.0f} % of the target's"


def test_what_failed_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[ViewerReport]) -> None:
    class Unsteady:
        """A method that works once an image."""

        calls = 0

        def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
            self.calls += 1
            if self.calls > 2:
                raise ValueError("not again")
            return A.H(y)

    unsteady = Unsteady()
    monkeypatch.setattr(
        "medrecon.benchmark.cases.build",
        lambda entry, *rest: unsteady if entry.name == "sense" else build(entry, *rest),
    )
    done = finished(mri(), tmp_path)
    lost = replace(done.rows[2], status=FAILED, reason="no center", scores=())
    part = replace(done, rows=(*done.rows[:2], lost, done.rows[3]))
    assert write_page(tmp_path / "r.html", part, HERE) == 1
    (case,) = shown[0].cases
    assert [method.name for method in case.methods] == ["zero-filled"]
    assert case.notes[0] == "sense has no image here: it failed when it was run again: not again"
    assert case.notes[1:] == done.rows[0].notes
    first = replace(done.rows[1], status=FAILED, reason="no memory", scores=())
    part = replace(done, rows=(done.rows[0], first, *done.rows[2:]))
    write_page(tmp_path / "r.html", part, HERE)
    assert shown[1].cases[0].notes[0] == "sense failed: no memory"
    gone = replace(done, rows=tuple(replace(row, status=FAILED, reason="gone", scores=()) for row in done.rows))
    assert write_page(tmp_path / "none.html", gone, HERE) == 0
    assert not (tmp_path / "none.html").exists()


def test_a_page_too_large_is_refused_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done, seen = finished(mri(), tmp_path), run_again(monkeypatch)
    monkeypatch.setattr(page, "LARGEST_PAGE", 5000)
    with pytest.raises(InputError, match="take fewer by --report-images"):
        write_page(tmp_path / "r.html", done, HERE)
    assert not seen


def scored(place: int, method: str, value: float) -> Row:
    score = Score("fastmri-v1", value, 0.5)
    return Row(f"{method}{place}", "mri", "p", method, {}, False, "f", place, scores=(score,))


@pytest.mark.parametrize(
    ("images", "places"), [(1, [3]), (2, [0, 3]), (3, [0, 1, 3]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3, 4])]
)
def test_the_most_telling_images_are_chosen(images: int, places: list[int]) -> None:
    (case, *_) = make_schedule(mri()).cases
    good = [scored(place, "good", value) for place, value in enumerate((30.0, 33.0, 29.0, 20.0, 31.0))]
    poor = [scored(place, "poor", 10.0 - place) for place in range(5)]
    rows = [row for pair in zip(good, poor, strict=True) for row in pair]
    shown = choose([case] * 10, rows, images)
    found = [one.rows[0].slice for one in shown]
    assert found == places
    if images == 3:  # the median is the first: the best takes its place
        assert [one.why for one in shown] == ["the median of good, the first", "the best of good", "the worst of good"]
    assert {one.rows[0].slice: one.why for one in shown}[3] == "the worst of good"


def test_a_target_is_that_of_the_scene(tmp_path: Path, shown: list[ViewerReport]) -> None:
    settings = mri([zero_filled()], snr=10)
    done = finished(settings, tmp_path)
    write_page(tmp_path / "r.html", done, HERE, images=1)
    case = done.schedule.cases[[row.slice for row in done.rows].index(shown[0].cases[0].first_slice)]
    assert shown[0].cases[0].target is not None
    assert torch.equal(shown[0].cases[0].target[0], open_inputs(case.scenario, case.image, 0).target)
    assert shown[0].cases[0].facts["noise added"] == "signal-to-noise ratio 10"
