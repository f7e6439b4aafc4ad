"""How much memory is left, and what is refused for the lack of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from medrecon import memory
from medrecon.errors import InputError
from medrecon.memory import available_memory, memory_words, require_memory


def _group(folder: Path, limit: str, used: int, cached: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n", encoding="ascii")
    (folder / "memory.current").write_text(f"{used}\n", encoding="ascii")
    (folder / "memory.stat").write_text(f"anon {used - cached}\ninactive_file {cached}\n", encoding="ascii")


def test_what_is_left_is_no_more_than_the_machine_has() -> None:
    assert 0 < available_memory() < 2**50


def test_a_limit_of_the_process_counts() -> None:
    program = (
        "import resource\nfrom medrecon.memory import available_memory\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\nprint(available_memory())"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 0 < int(found.stdout) < 2**30


def test_limits_of_groups_count_also_of_those_above_and_caches_do_not(tmp_path: Path) -> None:
    _group(tmp_path, "max", 9000, 0)
    _group(tmp_path / "a", "5000", 1000, 500)
    _group(tmp_path / "a" / "b", "9000", 900, 0)
    left = memory._left_in(tmp_path, "/a/b", "memory.max", "memory.current", "inactive_file")
    assert list(left) == [8100, 4500]


def test_a_refusal_says_how_much_it_takes_how_much_is_left_and_what_would_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 3_000_000_000)
    require_memory("a small thing", 3_000_000_000, "leave it out")
    with pytest.raises(InputError, match=r"^8 views: takes 4 GB of memory, and 3 GB are left; 6 would fit$"):
        require_memory("8 views", 4_000_000_000, "6 would fit")


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (32_123, "32.1 kB"), (10**18, "1 EB"), (10**400, "more than 1000 EB")],
)
def test_bytes_in_words(count: int, words: str) -> None:
    assert memory_words(count) == words
