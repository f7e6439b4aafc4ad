"""Running the program `medrecon` inside a test."""

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import h5py
import torch
from torch import Tensor

from medrecon.cli import main
from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.simulation import Simulation, simulate_volume
from medrecon.data.mri.writing import write_fastmri
from medrecon.data.phantoms.ellipses import Ellipsoid, Phantom


@dataclass(frozen=True)
class Finished:
    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of an error."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("medrecon: error: ")
        return lines[0].removeprefix("medrecon: error: ")


def medrecon(*arguments: object) -> Finished:
    out, err = io.StringIO(), io.StringIO()
    status = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as done:
            status = done.code
    assert isinstance(status, int)
    return Finished(status, out.getvalue(), err.getvalue())


def simulate(path: Path, *, size: tuple[int, int] = (48, 40), slices: int = 1, coils: int = 4, snr: float = 60) -> Path:
    """Write the scan of three ellipsoids; the brightest is small, above and right of the middle."""
    shapes = (
        Ellipsoid(1.0, (0.0, 0.0, 0.0), (2.0, 0.8, 0.75), 0.0),
        Ellipsoid(-0.4, (0.0, 0.25, -0.1), (2.0, 0.3, 0.4), 0.3),
        Ellipsoid(1.5, (0.0, -0.4, 0.3), (2.0, 0.12, 0.12), 0.0),
    )
    ny, nx = size
    volume = simulate_volume(Simulation(Phantom(shapes), size, slices, coils, snr, seed=5))
    write_fastmri(path, volume, header=make_header((2 * ny, nx), size), overwrite=True)
    return path


def images(path: Path) -> Tensor:
    with h5py.File(path) as file:
        return torch.from_numpy(file["reconstruction"][()])


def close(found: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> bool:
    return float((found - wanted).norm() / wanted.norm()) < tolerance
