"""Reconstruct many slices of one file, and see that memory and open files stay as they are: `make soak`."""

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from medrecon.config import MRIAcquisition, ReconstructionSettings, SliceSettings
from medrecon.config.methods import SenseSettings
from medrecon.results import SliceResult
from medrecon.workflows import reconstruct_file
from tests.program import medrecon

__all__ = ["GROWTH", "Watched", "soak"]

#: MiB that the process may be larger at the end than after a tenth of the slices.
GROWTH = 16.0


@dataclass
class Watched:
    """Resident memory in MiB and open files of this process, after every slice but the first tenth."""

    first: int
    memory: list[float] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)

    def __call__(self, result: SliceResult) -> None:
        """Look once."""
        if result.index >= self.first:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
            self.memory.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
            self.handles.append(sum(1 for _ in Path("/proc/self/fd").iterdir()))

    @property
    def growth(self) -> float:
        """How much larger the largest of the last tenth is than the largest of the first, in MiB."""
        tenth = max(1, len(self.memory) // 10)
        return max(self.memory[-tenth:]) - max(self.memory[:tenth])


def soak(folder: Path, n_slices: int) -> Watched:
    """Simulate a file of so many slices, reconstruct it, and watch."""
    scan = folder / "scan.h5"
    assert medrecon("simulate", scan, "--size", "16x12", "--slices", n_slices, "--coils", 2).status == 0
    watched = Watched(n_slices // 10)
    settings = ReconstructionSettings(
        method=SenseSettings(kind="sense", iterations=2), acquisition=MRIAcquisition(), slices=SliceSettings()
    )
    reconstruct_file(scan, folder / "images.h5", settings, watch=watched)
    return watched


def main() -> int:
    """Print the figures; the status is 1 where they are not flat."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--slices", type=int, default=10_000)
    with tempfile.TemporaryDirectory() as folder:
        watched = soak(Path(folder), parser.parse_args().slices)
    memory = f"{watched.memory[0]:.0f} to {watched.memory[-1]:.0f} MiB ({watched.growth:+.1f} MiB)"
    print(f"{len(watched.memory)} slices: memory {memory}, open files {min(watched.handles)} to {max(watched.handles)}")
    return 0 if watched.growth < GROWTH and len(set(watched.handles)) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
