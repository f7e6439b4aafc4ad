"""What all tests share: one thread each, so that parallel workers do not fight, a time limit, and a seeded generator."""

from collections.abc import Generator

import pytest
import torch

torch.set_num_threads(1)

LIMIT = 20.0  # seconds


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what passes too slowly."""
    report = yield
    if report.passed and call.duration > LIMIT and item.get_closest_marker("slow") is None:
        report.outcome = "failed"
        report.longrepr = f"took {call.duration:.1f} s, more than {LIMIT:.0f}: make it quicker, or mark it `slow`"
    return report


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20261121)
