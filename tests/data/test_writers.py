"""Who writes a temporary file, and what becomes of those whose writers are dead."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from medrecon.data import writers
from medrecon.data.writers import Life, Writer, sweep, temporary_name, unfinished
from medrecon.data.writing import atomic_file

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="this system does not say when a process began"
)

WRITE = """
import sys, time
from pathlib import Path
from medrecon.data.sets.cache import staging_folder
from medrecon.data.writing import atomic_file
with atomic_file(sys.argv[1]) as temporary, staging_folder("tiny") as folder:
    temporary.write_bytes(b"half")
    (folder / "half").write_bytes(b"half")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _fresh() -> None:
    writers._sweep.cache_clear()


@contextmanager
def writing(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has half written a file, and a data set beside it."""
    environment = {**os.environ, "MEDRECON_DATA": str(path.parent)}
    command = [sys.executable, "-c", WRITE, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        try:
            yield child
        finally:
            child.kill()


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".")]


def test_what_a_killed_process_left_is_swept_by_the_next_and_what_a_living_one_writes_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDRECON_DATA", str(tmp_path))
    with writing(tmp_path / "o.h5") as child:
        left = hidden(tmp_path)
        assert [Writer.parse(path.name).life for path in left] == [Life.ALIVE] * 2  # type: ignore[union-attr]
        for folder in (tmp_path, tmp_path / "sets"):
            sweep(folder)
        assert hidden(tmp_path) == left
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert hidden(tmp_path) == left
        writers._sweep.cache_clear()
        with atomic_file(tmp_path / "another.h5") as temporary:
            assert hidden(tmp_path / "sets") == [path for path in left if path.parent.name == "sets"]
            assert hidden(tmp_path)[:1] + hidden(tmp_path / "sets") == [temporary, *hidden(tmp_path / "sets")]
        sweep(tmp_path / "sets")
    assert hidden(tmp_path) == []


def test_a_process_that_is_dead_but_not_buried_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    stood = writers._stat(child.pid)
    assert stood is not None
    writer = replace(Writer.here(), pid=child.pid, start=stood.start)
    assert writer.life is Life.ALIVE
    child.kill()
    while (stood := writers._stat(child.pid)) is not None and stood.state != "Z":
        time.sleep(0.01)
    assert writer.life is Life.DEAD
    child.wait()
    assert writer.life is Life.DEAD


def test_another_process_of_the_same_number_is_not_the_writer() -> None:
    here = Writer.here()
    assert here.life is Life.ALIVE
    assert replace(here, start=here.start - 1).life is Life.DEAD
    assert replace(here, host="0" * 8).life is Life.UNKNOWN
    assert Writer.parse(f".o.h5{here.mark}.h5") == here


def test_what_another_machine_writes_stays_until_it_is_old(tmp_path: Path) -> None:
    name = temporary_name("o.h5", ".h5").replace(Writer.here().host, "0123abcd")
    (tmp_path / name).touch()
    sweep(tmp_path)
    assert (tmp_path / name).exists()
    week = time.time() - 8 * 24 * 3600
    os.utime(tmp_path / name, (week, week))
    writers._sweep.cache_clear()
    sweep(tmp_path)
    assert not (tmp_path / name).exists()


def test_files_of_users_stay_however_old(tmp_path: Path) -> None:
    dead = replace(Writer.here(), start=1).mark
    names = [
        ".o.h5",
        ".o.h5.0123abcd.h5",
        "notes.part",
        f"o.h5{dead}.h5",
        ".a-1-2-3.h5",
        f".o{dead}.x.y",
        ".medrecon.lock",
    ]
    for name in names:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / f".o{dead}").touch()
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


@pytest.mark.parametrize("name", ["é" * 120, "x" * 250, "a.b" + "c" * 200])
def test_long_names_can_be_written(tmp_path: Path, name: str) -> None:
    with atomic_file(tmp_path / name) as temporary:
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_is_unfinished_can_be_removed_from_anywhere(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    with unfinished(file), unfinished(folder):
        file.touch()
        (folder / "in").mkdir(parents=True)
        writers.remove_unfinished()
        assert list(tmp_path.iterdir()) == []
        file.touch()
    assert list(tmp_path.iterdir()) == []
