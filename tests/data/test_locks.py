"""Locks: a second process is refused and told of the first, and a killed one leaves none."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from medrecon.data.locks import hold, hold_folder
from medrecon.data.writers import Writer
from medrecon.errors import InputError

fcntl = pytest.importorskip("fcntl")

HOLD = """
import os, sys, time
from pathlib import Path
from medrecon.data.locks import hold_folder
with hold_folder(Path(sys.argv[1]), "training"):
    if os.fork() == 0:  # as a process that reads data, which outlives its parent for a while
        time.sleep(60)
    print("ready", flush=True)
    time.sleep(60)
"""


@contextmanager
def holding(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        try:
            yield child
        finally:
            os.killpg(child.pid, signal.SIGKILL)


def test_a_second_process_is_refused_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with holding(run) as child:
        words = rf"run: process {child.pid} on {socket.gethostname()} is training there since 20\d\d-"
        with pytest.raises(InputError, match=words), hold_folder(run, "training"):
            pass
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert [path.name for path in run.iterdir()] == [".medrecon.lock"]
        with hold_folder(run, "training"):
            (run / "kept").touch()
    assert [path.name for path in run.iterdir()] == ["kept"]


def test_a_folder_that_stays_empty_is_gone_again(tmp_path: Path) -> None:
    with hold_folder(tmp_path / "runs" / "new", "training"):
        pass
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old").mkdir()
    with pytest.raises(KeyError), hold_folder(tmp_path / "old", "training"):
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_one_process_does_not_hold_a_lock_twice(tmp_path: Path) -> None:
    with hold_folder(tmp_path, "training"):
        with (
            pytest.raises(InputError, match="this process is at work there already"),
            hold_folder(tmp_path, "training"),
        ):
            pass
        assert (tmp_path / ".medrecon.lock").exists()


def test_where_there_are_no_locks_the_process_that_is_named_must_be_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", unknown)
    path, here = tmp_path / "lock", Writer.here()
    for other, refused in ((replace(here, host="0" * 8), True), (replace(here, start=here.start - 1), False)):
        holder = {"doing": "training", "process": 7, "host": "far", "since": "2026-01-01 00:00", "mark": other.mark}
        path.write_text(json.dumps(holder))
        if refused:
            words = "process 7 on far is training there since .*, where it has ended, remove .*lock"
            with pytest.raises(InputError, match=words), hold(path, "run", "training"):
                pass
        else:
            with hold(path, "run", "training"):
                assert json.loads(path.read_text())["process"] == os.getpid()
    assert not path.exists()
    for damaged in ("damaged", "[" * 4096, "3"):
        path.write_text(damaged)
        with hold(path, "run", "training"):
            pass
