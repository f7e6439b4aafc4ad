"""Tuned settings: found on their own images, written, and read by a benchmark."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from medrecon.benchmark import Workers, load_benchmark, tune_method
from medrecon.benchmark.schedule import make_schedule
from medrecon.benchmark.search import Found
from medrecon.config.benchmark import TunedSettings
from medrecon.config.files import load_settings
from medrecon.errors import InputError

from .settings import CT_DATA, MASK, MRI_DATA, ct, mri, sense, zero_filled

HERE = Workers(0)
TUNING = {**MRI_DATA, "phantom": "shepp-logan", "slices": 1, "seed": 1}


def test_the_best_weight_is_written_and_read(tmp_path: Path) -> None:
    output = tmp_path / "tuned.yaml"
    (found,) = tune_method(mri(tuning=TUNING), "sense", output, HERE)
    assert found.data["phantom"] == "shepp-logan"
    best = max(found.searched, key=lambda trial: trial["psnr"])
    assert found.settings == {"weight": pytest.approx(best["weight"], rel=1e-3)}
    assert found.psnr == best["psnr"]
    weights = sorted(float(trial["weight"]) for trial in found.searched)
    assert weights[0] <= 3 / 16
    assert weights[-1] >= 48
    assert load_settings(TunedSettings, output).tuned == (found,)
    again = tune_method(mri(tuning=TUNING), "sense", output, HERE)
    assert again == [found]

    config = tmp_path / "b.yaml"
    scenario = {"name": "brain", "data": MRI_DATA, "mask": MASK}
    shifted = {**scenario, "name": "noisy", "snr": 10, "tuned_as": "brain"}
    methods = [sense(tuned="tuned.yaml")]
    config.write_text(yaml.safe_dump({"name": "b", "mri": {"methods": methods, "scenarios": [scenario, shifted]}}))
    entries = {case.entry.method.weight for case in make_schedule(load_benchmark(config)).cases}  # type: ignore[union-attr]
    assert entries == {found.settings["weight"]}


def test_two_searches_do_not_write_to_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = []

    def second(_: object) -> None:
        with pytest.raises(InputError, match=r"tuned\.yaml: this process is at work there already"):
            tune_method(mri(tuning=TUNING), "sense", tmp_path / "tuned.yaml", HERE)
        refused.append([path.name for path in tmp_path.iterdir()])
        raise KeyboardInterrupt

    monkeypatch.setattr("medrecon.benchmark.tuning._tune", second)
    with pytest.raises(KeyboardInterrupt):
        tune_method(mri(tuning=TUNING), "sense", tmp_path / "tuned.yaml", HERE)
    assert refused == [[".tuned.yaml.medrecon.lock"]]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("gains", "best"), [((1.0, 0.5, 0.01, 1.0), 8), ((-0.1, 1.0), 1), ((0.3, -0.2, 1.0), 2)])
def test_iterations_are_doubled_while_that_gains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gains: tuple[float, ...], best: int
) -> None:
    """The weight is searched anew each time: the best one shrinks as iterations grow."""

    def scores(_: object, name: str, values: Sequence[float], rest: dict[str, int]) -> list[float]:
        assert name == "weight"
        doublings = (rest["iterations"] // 20).bit_length() - 1
        asked.add(doublings)
        return [30 + sum(gains[:doublings]) - abs(math.log(value * 2**doublings)) for value in values]

    asked: set[int] = set()
    monkeypatch.setattr("medrecon.benchmark.tuning._Trials.scores", scores)
    methods = [{"name": "sense", "method": {"kind": "sense"}}]
    (found,) = tune_method(mri(methods, tuning=TUNING), "sense", tmp_path / "t.yaml", HERE)
    assert found.settings == {"iterations": 20 * best, "weight": pytest.approx(1 / best, rel=0.06)}
    assert asked == set(range(len(gains)))
    assert {trial["iterations"] for trial in found.searched} == {20 * 2**k for k in asked}


def test_a_benchmark_says_how_to_get_what_is_not_tuned(tmp_path: Path) -> None:
    settings = mri([sense(tuned=str(tmp_path / "none.yaml"))])
    with pytest.raises(InputError, match=r"none\.yaml: there is no such file .*`medrecon tune 'sense' CONFIG"):
        make_schedule(settings)
    (tmp_path / "none.yaml").write_text("tuned: []\n")
    with pytest.raises(InputError, match="holds nothing for 'sense' on 'brain'"):
        make_schedule(settings)


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    output = tmp_path / "tuned.yaml"
    (found,) = tune_method(mri(tuning=TUNING), "sense", output, HERE)
    output.write_text(output.read_text().replace("  scenario: brain", "  problem: brain"))
    assert "problem" in output.read_text()
    assert load_settings(TunedSettings, output).tuned == (found,)


def test_what_cannot_be_tuned(tmp_path: Path) -> None:
    output = tmp_path / "tuned.yaml"
    with pytest.raises(InputError, match="no weight, window or iterations left to search"):
        tune_method(mri(tuning=TUNING), "zero-filled", output, HERE)
    with pytest.raises(InputError, match="no method of t is called 'tw'; there are zero-filled, sense"):
        tune_method(mri(tuning=TUNING), "tw", output, HERE)
    with pytest.raises(InputError, match="on which images it is to be tuned; give tuning"):
        tune_method(mri(), "sense", output, HERE)
    with pytest.raises(InputError, match="--scenario head: 'sense' has no such scenario; there are brain"):
        tune_method(mri(tuning=TUNING), "sense", output, HERE, scenarios=["head"])
    assert not output.exists()


def test_other_entries_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medrecon.benchmark.tuning.search", lambda *_: Found(2.0, 30.0, ((2.0, 30.0),)))
    output = tmp_path / "tuned.yaml"
    methods = [zero_filled(), sense("a"), sense("b")]
    for name in ("a", "b", "a"):
        tune_method(mri(methods, tuning=TUNING), name, output, HERE)
    assert [one.method for one in load_settings(TunedSettings, output).tuned] == ["b", "a"]


def test_each_window_of_filtered_backprojection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(scores: object, start: float, within: object) -> Found:  # noqa: ARG001
        calls.append(start)
        return Found(0.5, float(len(calls) % 4), ((0.5, 1.0),), "the most")

    calls: list[float] = []
    monkeypatch.setattr("medrecon.benchmark.tuning.search", fake)
    (found,) = tune_method(ct(tuning={**CT_DATA, "seed": 1}), "fbp", tmp_path / "t.yaml", HERE)
    assert found.settings == {"window": "cosine", "frequency_scaling": 0.5}
    assert found.bounded == {"frequency_scaling": "the most"}
    assert len(calls) == 5
    hann = [{"name": "fbp", "method": {"kind": "fbp", "window": "hann"}}]
    (found,) = tune_method(ct(hann, tuning={**CT_DATA, "seed": 1}), "fbp", tmp_path / "t.yaml", HERE)
    assert "window" not in found.settings


def test_an_image_on_which_it_fails_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> object:
        raise ValueError("no center")

    monkeypatch.setattr("medrecon.benchmark.mri_inputs.pose", broken)
    with pytest.raises(InputError, match="sense on 'brain', phantom shepp-logan, slice 0: no center"):
        tune_method(mri(tuning=TUNING), "sense", tmp_path / "t.yaml", HERE)
