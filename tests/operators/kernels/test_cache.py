"""Compiled code that is damaged on the disk, belongs to another function, or cannot be kept there."""

import logging
import os
import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit

from medrecon.operators.kernels import cache
from medrecon.operators.kernels.cache import keep_compiled

SOURCE = "def twice(x):\n    return 2 * x\n\n\ndef thrice(x):\n    return 3 * x\n"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of two functions, in whose folder their code is kept."""
    monkeypatch.setattr(cache, "_told", set())
    path = tmp_path / "module.py"
    path.write_text(SOURCE)
    monkeypatch.setitem(sys.modules, "cached_module", pytest)
    return path


def made(source: Path, name: str = "twice") -> Any:
    spec = spec_from_file_location("cached_module", source)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)  # numba imports it to take code from the disk
    spec.loader.exec_module(module)
    return keep_compiled(njit(getattr(module, name)))


def files(source: Path, ending: str) -> list[Path]:
    return sorted(source.parent.rglob(f"*.{ending}"))


def test_code_is_taken_from_the_disk(source: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert made(source)(4) == 8
    again = made(source)
    assert again(4) == 8
    assert sum(again.stats.cache_hits.values()) == 1
    assert not caplog.records


@pytest.mark.parametrize("ending", ["nbc", "nbi"])
@pytest.mark.parametrize("damage", ["random", "empty", "cut", "flip", "zeros"])
def test_damaged_code_is_made_anew_and_told_once(
    source: Path, caplog: pytest.LogCaptureFixture, ending: str, damage: str
) -> None:
    assert (made(source)(4), made(source, "thrice")(4)) == (8, 12)
    for path in files(source, ending):
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 1
        others = {"random": os.urandom(300), "empty": b"", "zeros": bytes(len(whole)), "flip": bytes(flipped)}
        path.write_bytes(others.get(damage, whole[: len(whole) // 2]))
    assert (made(source)(4), made(source, "thrice")(4)) == (8, 12)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "is damaged, and is made anew" in caplog.messages[0]
    again = made(source)
    assert again(4) == 8
    assert sum(again.stats.cache_hits.values()) == 1


def test_a_cache_that_cannot_be_written_is_done_without(
    source: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache._CheckedFile, "_write", full)
    assert (made(source)(4), made(source, "thrice")(np.float64(4))) == (8, 12.0)
    assert len(caplog.messages) == 1
    assert "No space left on device; set NUMBA_CACHE_DIR" in caplog.messages[0]


def test_no_folder_for_a_cache_is_done_without(
    source: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: object) -> None:
        raise RuntimeError("cannot cache function 'twice': no locator available for file 'module.py'")

    monkeypatch.setattr(cache._CheckedCache, "__init__", nowhere)
    assert made(source)(4) == 8
    assert len(caplog.messages) == 1
    assert "no locator available" in caplog.messages[0]


@pytest.mark.parametrize("writable", [True, False])
def test_a_folder_that_was_named_and_cannot_be_written_is_told(
    source: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    (source.parent / "file").touch()
    named = source.parent / ("folder" if writable else "file") / "below"
    monkeypatch.setattr("numba.config.CACHE_DIR", str(named))
    assert (made(source)(4), made(source, "thrice")(4)) == (8, 12)
    assert len(caplog.messages) == (0 if writable else 1)
    if not writable:
        assert f"NUMBA_CACHE_DIR, {named}, cannot be written, and compiled code is kept elsewhere" in caplog.messages[0]
    assert bool(list(named.parent.rglob("*.nbc"))) is writable


def test_files_of_another_version_of_numba_are_no_damage(source: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = made(source)
    first._cache._cache_file._version = "0.1"
    assert first(4) == 8
    assert made(source)(4) == 8
    shutil.rmtree(source.parent / "__pycache__", ignore_errors=True)
    assert not caplog.records
