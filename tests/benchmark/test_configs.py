"""The configurations that come with medrecon are sound."""

from pathlib import Path

import pytest

from medrecon.benchmark import load_benchmark
from medrecon.benchmark.schedule import make_schedule

FILES = sorted((Path(__file__).parents[2] / "configs").glob("benchmark_*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_configuration_is_read(path: Path) -> None:
    settings = load_benchmark(path, ["images=1"])
    assert settings.name == path.stem
    for side in (settings.mri, settings.ct):
        for scenario in () if side is None else side.scenarios:
            assert scenario.tuned_as is not None or scenario.tuning is not None or "phantom" in scenario.data.kind


def test_that_of_phantoms_needs_nothing() -> None:
    path = next(path for path in FILES if path.stem == "benchmark_phantom")
    schedule = make_schedule(load_benchmark(path, ["images=2"]))
    assert {len(group) for group in schedule.groups} == {4}
    assert len(schedule.groups) == 8
