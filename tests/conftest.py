"""What all tests share: one thread each, so that parallel workers do not fight, a limit of their work, and a seeded generator."""

import os
from collections.abc import Generator

import pytest
import torch

torch.set_num_threads(1)

LIMIT = 20.0  # seconds that processors work, as many on a busy machine as on an idle one
_BEGUN = pytest.StashKey[float]()


def _worked() -> float:
    """The seconds that processors worked for this process, and for those of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Note when the first phase of a test begins."""
    item.stash[_BEGUN] = _worked()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what passes with too much work; what ends after the last test of a module has worked for all of them."""
    report = yield
    now = _worked()
    spent, item.stash[_BEGUN] = now - item.stash[_BEGUN], now
    if report.passed and report.when != "teardown" and spent > LIMIT and item.get_closest_marker("slow") is None:
        report.outcome = "failed"
        report.longrepr = f"took {spent:.1f} s of processors, more than {LIMIT:.0f}: make it quicker, or mark it `slow`"
    return report


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20261121)
