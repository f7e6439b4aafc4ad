"""What is held of scores: written and read back, compared in words, kept where it cannot be measured."""

from pathlib import Path

import pytest

from tests.regression.cases import CASES, PROBLEMS, Case, Score
from tests.regression.checks import check_score
from tests.regression.numbers import FILE, Numbers, compare, read_numbers, renewed, write_numbers

TV, FBP, TIKHONOV = (Case("ct-full", method) for method in ("tv", "fbp", "tikhonov"))
OLD = Numbers(Score(0.05, 0.002), {TV: Score(40.0, 0.99), FBP: Score(35.0, 0.9), TIKHONOV: Score(36.0, 0.91)})


def test_numbers_are_read_back(tmp_path: Path) -> None:
    write_numbers(OLD, tmp_path / "n.yaml")
    assert read_numbers(tmp_path / "n.yaml") == OLD
    text = (tmp_path / "n.yaml").read_text()
    assert text.startswith("# Scores of every method")
    assert "protocol: lodopab" in text
    assert [path.name for path in tmp_path.iterdir()] == ["n.yaml"]


def test_the_file_is_as_it_would_be_written(tmp_path: Path) -> None:
    write_numbers(read_numbers(), tmp_path / "n.yaml")
    assert (tmp_path / "n.yaml").read_text() == FILE.read_text()


def test_another_protocol_is_refused(tmp_path: Path) -> None:
    write_numbers(OLD, tmp_path / "n.yaml")
    text = (tmp_path / "n.yaml").read_text().replace("protocol: lodopab\n", "protocol: lodopab-fr\n")
    (tmp_path / "n.yaml").write_text(text)
    with pytest.raises(ValueError, match="ct-full is held by lodopab-fr, scored by lodopab"):
        read_numbers(tmp_path / "n.yaml")


def test_what_moved_is_told() -> None:
    new = {
        TV: Score(40.0001, 0.99),
        FBP: Score(35.04, 0.9),
        TIKHONOV: Score(36.0, 0.914),
        Case("ct-full", "sirt"): Score(9, 0.5),
    }
    lines = compare(OLD, Numbers(OLD.tolerance, new))
    assert [line[0] for line in lines] == [" ", "!", "+"]
    assert "ct-full fbp " in lines[0]
    assert "35.000 ->  35.040 dB (+0.040)" in lines[0]
    assert "0.91000 -> 0.91400 (+0.00400)" in lines[1]
    assert "(new)" in lines[2]
    assert [line[0] for line in compare(OLD, Numbers(OLD.tolerance, {TV: OLD.scores[TV]}))] == ["-", "-"]
    assert compare(OLD, OLD) == []


def test_what_cannot_be_measured_is_kept() -> None:
    scores = {TV: Score(41.0, 0.99), FBP: None, TIKHONOV: Score(37.0, 0.92), Case("ct-full", "unet"): None}
    new = renewed(OLD, tuple(scores), scores.__getitem__)
    assert new.scores == {TV: Score(41.0, 0.99), FBP: OLD.scores[FBP], TIKHONOV: Score(37.0, 0.92)}
    assert new.tolerance == OLD.tolerance


@pytest.mark.parametrize(
    ("psnr", "ssim", "ok"), [(0.049, 0, True), (-0.051, 0, False), (0, 0.0019, True), (0, -0.0021, False)]
)
def test_the_tolerance_is_of_both_scores_and_of_both_signs(psnr: float, ssim: float, ok: bool) -> None:
    assert OLD.holds(TV, Score(40 + psnr, 0.99 + ssim)) is ok


def test_a_score_that_is_not_held_is_asked_for() -> None:
    with pytest.raises(AssertionError, match=r"mri-4x tv: numbers\.yaml holds no score; `make regression` measures it"):
        check_score(Case("mri-4x", "tv"), lambda _: Score(1, 1), OLD)


def test_every_method_meets_every_problem_of_its_modality() -> None:
    assert set(PROBLEMS) == {"mri-4x", "mri-8x", "mri-noise", "mri-even", "ct-full", "ct-60-views", "ct-low-dose"}
    assert {"varnet", "wavelet", "zero-filled"} <= {case.method for case in CASES if case.problem == "mri-8x"}
    assert {"primal-dual", "unet", "tv-poisson"} <= {case.method for case in CASES if case.problem == "ct-low-dose"}
