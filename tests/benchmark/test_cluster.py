"""Several workers, one of which dies; those of a scheduler."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

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


def certificates(folder: Path) -> Any:
    """What Dask needs for TLS, made by the program openssl."""
    from distributed.security import Security

    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=dask"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    files = {
        f"tls_{who}_{what}": path
        for who in ("client", "scheduler", "worker")
        for what, path in (("key", key), ("cert", certificate))
    }
    return Security(tls_ca_file=certificate, require_encryption=True, **files)


@pytest.mark.slow
@pytest.mark.parametrize("encrypted", [False, True])
def test_nothing_of_a_benchmark_listens_beyond_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encrypted: bool
) -> None:
    psutil = pytest.importorskip("psutil")
    if encrypted and shutil.which("openssl") is None:
        pytest.skip("openssl, which makes certificates, is not installed")
    security = certificates(tmp_path) if encrypted else None
    monkeypatch.setattr(cluster, "_security", lambda: security)
    schedule = make_schedule(mri())
    with Workers(2, 1) as workers:
        there = {(row.method, row.slice): row.scores for row in workers.run(schedule.groups)}
        own = psutil.Process()
        processes = [own, *own.children(recursive=True)]
        found = {one.laddr.ip for process in processes for one in process.net_connections() if one.status == "LISTEN"}
        assert workers._client.scheduler.address.startswith("tls://" if encrypted else "tcp://")
    assert found == {"127.0.0.1"}
    assert there == {(row.method, row.slice): row.scores for row in Workers(0).run(schedule.groups)}


def test_an_encrypted_scheduler_without_certificates_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_PATIENCE", "300ms")
    with Workers(0, scheduler="tls://127.0.0.1:9") as workers, pytest.raises(InputError, match="does not answer"):
        list(workers.run(make_schedule(mri()).groups))
