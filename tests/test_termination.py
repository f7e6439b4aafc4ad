"""Programs that are told to end clean up: real processes, which are killed while they write."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from medrecon.commands import termination
from medrecon.commands.termination import Terminated, end_on_signals
from tests.program import medrecon, simulate

TOLD = "medrecon: error: told to end; what was being written is left out, files finished before are kept\n"
SAID = {129: TOLD, 130: TOLD.replace("told to end", "interrupted"), 143: TOLD}


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def ended_when(ready: Callable[[], object], number: signal.Signals, *arguments: object) -> tuple[int, str]:
    """Run the program, send a signal as soon as it is ready, and give its status and what it said on standard error."""
    command = [sys.executable, "-m", "medrecon", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not ready() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    return child.returncode, err


@pytest.mark.parametrize(
    ("command", "name", "status"),
    [
        ("simulate", "SIGTERM", 143),
        ("reconstruct", "SIGTERM", 143),
        ("simulate", "SIGHUP", 129),
        ("reconstruct", "SIGINT", 130),
    ],
)
def test_what_is_half_written_is_removed(tmp_path: Path, command: str, name: str, status: int) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if command == "simulate":
        arguments = [out / "o.h5", "--size", 128, "--slices", 400, "--coils", 2]
    else:
        scan = simulate(tmp_path / "scan.h5", slices=64)
        arguments = [scan, "-o", out / "o.h5", "--method", "tv", "--mask", "random", "--iterations", 999]
    assert ended_when(lambda: hidden(out), signal.Signals[name], command, *arguments) == (status, SAID[status])
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_second_signal_does_not_disturb_and_the_handler_before_is_set_again(
    first: signal.Signals, second: signal.Signals
) -> None:
    before, cleaned = [signal.getsignal(number) for number in (first, second)], []

    def work() -> None:
        with end_on_signals():
            try:
                os.kill(os.getpid(), first)
            finally:
                os.kill(os.getpid(), second)
                cleaned.append(True)

    with pytest.raises((Terminated, KeyboardInterrupt)) as ended:
        work()
    assert cleaned
    assert getattr(ended.value, "code", 128 + signal.SIGINT) == 128 + first
    assert [signal.getsignal(number) for number in (first, second)] == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_program_that_is_to_ignore_the_signal_goes_on(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with end_on_signals():
            os.kill(os.getpid(), number)
            assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_other_threads_leave_signals_alone() -> None:
    before, found = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with end_on_signals():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


def test_a_forked_child_ends_by_the_signal_itself() -> None:
    code = (
        "import os, signal; from medrecon.commands.termination import end_on_signals\n"
        "with end_on_signals():\n"
        "    child = os.fork()\n"
        "    if child == 0: os.kill(os.getpid(), signal.SIGTERM); os._exit(0)\n"
        "    print(os.WTERMSIG(os.waitpid(child, 0)[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{int(signal.SIGTERM)}\n"


def begun(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run a program of Python that prints a line when it is ready."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


@pytest.mark.parametrize("library", ["libpython|ld-linux", "pydantic_core", "libtorch_cpu"])
def test_the_signal_is_heard_while_libraries_are_imported(tmp_path: Path, library: str) -> None:
    if not Path("/proc/self/maps").exists():
        pytest.skip("this system does not say what a process has loaded")
    command = [sys.executable, "-m", "medrecon", "simulate", str(tmp_path / "o.h5"), "--size", "512", "--slices", "99"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not re.search(library, Path(f"/proc/{child.pid}/maps").read_text()) and child.poll() is None:
        time.sleep(0.001)
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=60)
    early = library.startswith("libpython") and child.returncode == -signal.SIGTERM  # not a line of Python was run
    assert early or (child.returncode, err) == (143, TOLD)
    assert list(tmp_path.iterdir()) == []


LONG = """
import hashlib, sys
from medrecon.commands import program, termination
from medrecon.data.writing import atomic_file
from medrecon.cli import main
termination._PATIENCE = 1.0
def run(*_):
    with atomic_file(sys.argv[1]) as temporary:
        temporary.write_bytes(b"half")
        print("ready", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**30)  # minutes in which Python runs nothing
program.run = run
main(["reconstruct"])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_long_computation_of_a_library_is_ended(tmp_path: Path, number: signal.Signals) -> None:
    child = begun(LONG, tmp_path / "o.h5")
    assert len(hidden(tmp_path)) == 1
    child.send_signal(number)
    _, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (128 + number, SAID[128 + number])
    assert list(tmp_path.iterdir()) == []


CAUGHT = """
import time
from medrecon.commands import program
from medrecon.cli import main
class Late:
    def __del__(self):
        print("ready", flush=True)
        time.sleep(30)
def run(*_):
    Late() if KIND == "unraisable" else None
    try:
        print("ready", flush=True) if KIND == "caught" else None
        time.sleep(30)
    except BaseException:
        pass
    time.sleep(30)
program.run = run
main(["reconstruct"])
"""


@pytest.mark.parametrize("kind", ["caught", "unraisable"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_library_that_catches_the_end_is_told_again(kind: str, number: signal.Signals) -> None:
    child = begun(f"KIND = {kind!r}\n{CAUGHT}")
    child.send_signal(number)
    _, err = child.communicate(timeout=20)
    assert (child.returncode, err) == (128 + number, SAID[128 + number])


def test_what_a_library_makes_of_the_end_is_not_complained_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def turn(*_: object, **__: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except SystemExit as error:
            raise ImportError("cannot load module more than once per process") from error

    monkeypatch.setattr("typer.main.get_command", lambda _: turn)
    done = medrecon("methods")
    assert (done.status, done.err) == (143, TOLD)


PARENT = """
import subprocess, sys, time
child = "import os, time; from medrecon.commands.termination import end_with, end_on_signals\\n"
child += "with end_on_signals():\\n"
child += "    end_with(os.getppid()); print('ready', flush=True)\\n"
child += "    try: time.sleep(60)\\n"
child += "    finally: open(__import__('sys').argv[1], 'w').close()\\n"
subprocess.Popen([sys.executable, "-c", child, sys.argv[1]])
time.sleep(60)
"""


def test_a_process_of_several_ends_when_the_one_that_began_it_is_killed(tmp_path: Path) -> None:
    parent = begun(PARENT, tmp_path / "ended")
    parent.kill()
    parent.communicate(timeout=30)  # the child has its end of the pipes, too
    assert (tmp_path / "ended").exists()


def test_a_forked_child_that_is_ended_does_not_end_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(termination, "_PATIENCE", 0.4)
    with end_on_signals() as told:
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        os.kill(child, signal.SIGTERM)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
        time.sleep(1)  # or this process would be ended
        assert told.told is None


@pytest.mark.parametrize("ear", ["closed", "gone"])
def test_a_long_computation_is_ended_where_nobody_hears_why(tmp_path: Path, ear: str) -> None:
    """Standard error is a pipe without a reader, or the file of complaints lies in a folder that is gone."""
    complaints = {"MEDRECON_COMPLAIN_TO": str(tmp_path / "none" / "0")} if ear == "gone" else {}
    command = [sys.executable, "-c", LONG, str(tmp_path / "o.h5")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env={**os.environ, **complaints}, text=True, **pipes) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == "ready\n"
        if ear == "closed":
            child.stderr.close()
        child.send_signal(signal.SIGTERM)
        try:
            assert child.wait(20) == 143
        finally:
            child.kill()
    assert list(tmp_path.iterdir()) == []


def test_the_watching_thread_ends_the_process_whatever_leaving_raises() -> None:
    code = (
        "import hashlib; from medrecon.commands import termination; termination._PATIENCE = 0.4\n"
        "def leave(_): raise OSError('no room')\n"
        "with termination.end_on_signals(leave):\n"
        "    print('ready', flush=True); hashlib.pbkdf2_hmac('sha256', b'', b'', 2**27)"
    )
    child = begun(code)
    child.send_signal(signal.SIGTERM)
    try:
        assert child.wait(15) == 143
    finally:
        child.kill()
        child.communicate()
