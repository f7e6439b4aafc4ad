"""Scores are measured once, and shared."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.regression.cases import Case, Score, measure, weights_missing


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("regression")


@pytest.fixture(scope="session")
def measured(folder: Path) -> Callable[[Case], Score]:
    """The score of a case; the test is skipped where the weights that it takes are not there."""

    @cache
    def kept(case: Case) -> Score:
        return measure(case, folder)

    def score(case: Case) -> Score:
        missing = weights_missing(case)
        if missing is not None:
            pytest.skip(missing)
        return kept(case)

    return score
