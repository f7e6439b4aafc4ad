"""Programs that are told to end clean up: real processes, which are killed while they write."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from medrecon.commands.termination import Terminated, exit_on_sigterm
from tests.program import simulate


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def ended_when(ready: Callable[[], object], *arguments: object) -> tuple[int, str]:
    """Run the program, send SIGTERM as soon as it is ready, and give its status and what it said on standard error."""
    command = [sys.executable, "-m", "medrecon", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not ready() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=60)
    return child.returncode, err


@pytest.mark.parametrize("command", ["simulate", "reconstruct"])
def test_what_is_half_written_is_removed(tmp_path: Path, command: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if command == "simulate":
        arguments = [out / "o.h5", "--size", 128, "--slices", 400, "--coils", 2]
    else:
        scan = simulate(tmp_path / "scan.h5", slices=64)
        arguments = [scan, "-o", out / "o.h5", "--method", "tv", "--mask", "random", "--iterations", 999]
    status, err = ended_when(lambda: hidden(out), command, *arguments)
    assert (status, err.splitlines()) == (
        143,
        ["medrecon: error: told to end; what was being written is left out, files finished before are kept"],
    )
    assert list(out.iterdir()) == []


def test_a_second_signal_does_not_disturb_and_the_handler_before_is_set_again() -> None:
    before, cleaned = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with exit_on_sigterm():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                cleaned.append(True)

    with pytest.raises(Terminated) as ended:
        work()
    assert cleaned
    assert ended.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_program_that_is_to_ignore_the_signal_goes_on() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with exit_on_sigterm():
            os.kill(os.getpid(), signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_leave_signals_alone() -> None:
    before, found = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with exit_on_sigterm():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


def test_a_forked_child_ends_by_the_signal_itself() -> None:
    code = (
        "import os, signal; from medrecon.commands.termination import exit_on_sigterm\n"
        "with exit_on_sigterm():\n"
        "    child = os.fork()\n"
        "    if child == 0: os.kill(os.getpid(), signal.SIGTERM); os._exit(0)\n"
        "    print(os.WTERMSIG(os.waitpid(child, 0)[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{int(signal.SIGTERM)}\n"
