"""Several workers, one of which dies."""

from dataclasses import replace

import pytest

from medrecon.benchmark import Workers
from medrecon.benchmark.plan import make_plan
from medrecon.benchmark.sources import Item

from .settings import Deadly, mri

pytest.importorskip("distributed", reason="the package distributed, which runs several workers, is not installed")


@pytest.mark.slow
def test_a_killed_worker_costs_its_case_alone() -> None:
    plan = make_plan(mri())
    deadly = tuple(replace(case, item=Item("deadly", "", Deadly(9))) for case in plan.groups[0])  # type: ignore[arg-type]
    with Workers(1, 1) as workers:
        rows = list(workers.run((deadly, *plan.groups)))
    lost = [row for row in rows if row.file == "deadly"]
    assert [row.status for row in lost] == ["failed"] * len(deadly)
    assert all("worker was killed, twice" in row.reason for row in lost)
    here = list(Workers(0).run(plan.groups))
    there = {(row.method, row.slice): row.scores for row in rows if row.file != "deadly"}
    assert there == {(row.method, row.slice): row.scores for row in here}
