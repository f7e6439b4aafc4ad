"""Several workers, one of which dies; those of a scheduler."""

import os
from dataclasses import replace

import pytest

from medrecon.benchmark import Workers, cluster
from medrecon.benchmark.schedule import make_schedule
from medrecon.benchmark.sources import ImageReference
from medrecon.errors import InputError

from .settings import Deadly, mri

pytest.importorskip("distributed", reason="the package distributed, which runs several workers, is not installed")


@pytest.mark.slow
def test_a_killed_worker_costs_its_case_alone() -> None:
    schedule = make_schedule(mri())
    deadly = tuple(replace(case, image=ImageReference("deadly", "", Deadly(9))) for case in schedule.groups[0])  # type: ignore[arg-type]
    with Workers(1, 1) as workers:
        rows = list(workers.run((deadly, *schedule.groups)))
        workers._client.wait_for_workers(1, timeout=60)  # the killed one has a successor
        assert set(workers._client.run(os.environ.get, "MALLOC_TRIM_THRESHOLD_").values()) == {
            os.environ.get("MALLOC_TRIM_THRESHOLD_")
        }
    lost = [row for row in rows if row.file == "deadly"]
    assert [row.status for row in lost] == ["failed"] * len(deadly)
    assert all("worker was killed, twice" in row.reason for row in lost)
    here = list(Workers(0).run(schedule.groups))
    there = {(row.method, row.slice): row.scores for row in rows if row.file != "deadly"}
    assert there == {(row.method, row.slice): row.scores for row in here}


def test_a_scheduler_lends_its_workers() -> None:
    from distributed import LocalCluster

    schedule = make_schedule(mri())
    with LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as lent:
        address = lent.scheduler_address
        with Workers(0, 1, scheduler=address) as workers:
            there = {(row.method, row.slice): row.scores for row in workers.run(schedule.groups)}
    assert there == {(row.method, row.slice): row.scores for row in Workers(0).run(schedule.groups)}


def test_a_scheduler_without_workers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr(cluster, "_PATIENCE", "300ms")
    schedule = make_schedule(mri())
    with LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as idle:
        address = idle.scheduler_address
        with Workers(0, scheduler=address) as workers, pytest.raises(InputError, match="has no workers; start some by"):
            list(workers.run(schedule.groups))
    free = "tcp://127.0.0.1:9"
    with Workers(0, scheduler=free) as workers, pytest.raises(InputError, match="does not answer"):
        list(workers.run(schedule.groups))
