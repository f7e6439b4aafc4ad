"""Means, gains and volumes of rows against what is known of them; tests/test_evaluation.py compares with the fastMRI package."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medrecon.benchmark.rows import FAILED, Row, Score, rows_csv
from medrecon.benchmark.summary import summarize
from medrecon.benchmark.tables import summary_csv, summary_lines, summary_markdown
from medrecon.evaluation import VolumeScore
from medrecon.metrics import nmse, psnr, ssim


def row(method: str, place: int, value: float, *, learned: bool = False, modality: str = "ct") -> Row:
    protocol = "lodopab" if modality == "ct" else "fastmri-v1"
    scores = (Score(protocol, value, value / 100),)
    return Row(
        key=f"{method}{place}",
        modality=modality,
        scenario="p",
        method=method,
        settings={},
        learned=learned,
        file="f",
        slice=place,
        scores=scores,
        nmse=0.1,
        seconds=float(place),
    )


@pytest.fixture
def rows() -> list[Row]:
    random = np.random.default_rng(0)
    base = random.normal(30, 3, size=12)
    found = [row("poor", k, value - 4) for k, value in enumerate(base)]
    found += [row("good", k, value) for k, value in enumerate(base)]
    return found + [row("net", k, value + 1 + 0.01 * k, learned=True) for k, value in enumerate(base)]


def test_gains_are_paired_and_over_the_best_without_weights(rows: list[Row]) -> None:
    (summary,) = summarize(rows, resamples=500, seed=0)
    assert summary.best_classical == "good"
    poor, good, net = summary.methods
    assert good.psnr_gain is None
    assert poor.psnr_gain is not None
    assert net.psnr_gain is not None
    assert (poor.psnr_gain.low, poor.psnr_gain.high) == (
        pytest.approx(-4),
        pytest.approx(-4),
    )  # without the images' spread
    assert net.psnr_gain.mean == pytest.approx(1.055)
    assert net.psnr_gain.high - net.psnr_gain.low < 0.05  # type: ignore[operator]
    assert net.psnr is not None
    assert net.psnr.high - net.psnr.low > 2  # type: ignore[operator]
    assert net.seconds == 5.5


def test_the_same_rows_give_the_same_figures(rows: list[Row]) -> None:
    assert summarize(rows, resamples=500, seed=4) == summarize(rows, resamples=500, seed=4)


def test_failures_are_told(rows: list[Row]) -> None:
    wrong = replace(rows[0], status=FAILED, reason="no center", scores=(), nmse=None, seconds=None)
    (summary,) = summarize([wrong, *rows[1:]], resamples=100, seed=0)
    assert (summary.methods[0].done, summary.methods[0].failed) == (11, 1)
    text = summary_markdown("b", [summary])
    assert "- poor: 1 of 12 failed: no center" in text
    everything = [replace(one, status=FAILED, reason="gone", scores=()) for one in rows]
    (nothing,) = summarize(everything, resamples=100, seed=0)
    assert nothing.best_classical is None
    assert "nothing was scored" in summary_markdown("b", [nothing])


def test_a_method_that_did_fewer_images_is_not_the_best(rows: list[Row]) -> None:
    easy = [replace(row("easy", 0, 50.0))]
    (summary,) = summarize([*rows, *easy], resamples=100, seed=0)
    assert summary.best_classical == "good"


def test_no_figure_without_its_protocol(rows: list[Row]) -> None:
    both = [replace(one, scores=(*one.scores, Score("lodopab-fr", 20.0, 0.5))) for one in rows]
    summaries = summarize(both, resamples=100, seed=0)
    assert [summary.protocol for summary in summaries] == ["lodopab", "lodopab-fr"]
    text = summary_markdown("b", summaries)
    for protocol in ("lodopab", "lodopab-fr"):
        assert f"PSNR, dB ({protocol})" in text
        assert f"## p ({protocol})" in text
    assert "psnr (lodopab),ssim (lodopab),psnr (lodopab-fr)" in rows_csv(both).splitlines()[0]
    assert len(summary_csv(summaries).splitlines()) == 7
    assert summary_lines(summaries[1])[1][0][:3] == ["p", "lodopab-fr", "poor"]


def test_the_figures_of_a_volume_are_those_of_fastmri(generator: torch.Generator) -> None:
    target = torch.rand((3, 16, 16), generator=generator) + torch.arange(3)[:, None, None]
    image = target + 0.1 * torch.randn(target.shape, generator=generator) * torch.arange(1, 4)[:, None, None]
    peak = float(target.max())
    rows = [
        replace(
            row("m", k, 0.0, modality="mri"),
            scores=(Score("fastmri-v1", psnr(a, b, data_range=peak), ssim(a, b, data_range=peak)),),
            nmse=nmse(a, b),
            data_range=peak,
            pixels=b.numel(),
            squared_error=float((a.double() - b.double()).square().sum()),
            energy=float(b.double().square().sum()),
        )
        for k, (a, b) in enumerate(zip(image, target, strict=True))
    ]
    (summary,) = summarize(rows, resamples=100, seed=0)
    (method,) = summary.methods
    score = VolumeScore(peak)
    for a, b in zip(image, target, strict=True):
        score = score.add(a, b)
    assert method.volume is not None
    assert method.volume.psnr == pytest.approx(score.psnr, abs=1e-9)
    assert method.volume.psnr == pytest.approx(psnr(image, target, data_range=peak), abs=1e-6)
    assert method.volume.ssim == pytest.approx(score.ssim, abs=1e-12)
    assert method.psnr is not None
    assert method.psnr.mean != pytest.approx(method.volume.psnr, abs=0.01)  # a mean of decibels is another figure
