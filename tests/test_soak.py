"""Many slices take no more memory and open files than few."""

from pathlib import Path

import pytest

from tests.soak import GROWTH, soak


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system does not tell what a process holds")
def test_memory_and_open_files_are_flat(tmp_path: Path) -> None:
    watched = soak(tmp_path, 300)
    assert len(watched.memory) == 270
    assert watched.growth < GROWTH
    assert len(set(watched.handles)) == 1
