"""The packages that medrecon is compared with, called the way their own documentation does: SigPy, and the program `bart`.

BART: Uecker et al., https://mrirecon.github.io/bart. SigPy: Ong & Lustig, ISMRM 2019, 4819.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.complex64]
HAS_BART = shutil.which("bart") is not None


def sigpy_app(method: str, y: Array, maps: Array, weight: float, iterations: int) -> Any:
    """The SigPy application of that name; its weights are for k-space scaled as given."""
    from sigpy.mri import app

    match method:
        case "sense":
            return app.SenseRecon(y, maps, lamda=weight, max_iter=iterations, show_pbar=False)
        case "wavelet":
            return app.L1WaveletRecon(y, maps, weight, max_iter=iterations, show_pbar=False)
        case "tv":
            return app.TotalVariationRecon(y, maps, weight, max_iter=iterations, show_pbar=False)
    raise ValueError(f"no SigPy application for {method!r}")


def sigpy_curve(
    method: str, y: Array, maps: Array, weight: float, iterations: int, error: Callable[[Array], float]
) -> list[float]:
    """The error of SigPy's iterate after each iteration."""
    app = sigpy_app(method, y, maps, weight, iterations)
    errors: list[float] = []
    update = app.alg.update

    def watched() -> None:
        update()
        errors.append(error(app.x))

    app.alg.update = watched
    app.run()
    return errors


class Bart:
    """Files of the program `bart` in a folder of their own, and its calls on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, coil_images: Array) -> None:
        """Write `(coil, y, x)` as BART's `(x, y, z, coil)`: its first dimensions are y and x here."""
        data = coil_images.transpose(1, 2, 0)[:, :, None, :]
        (self.folder / f"{name}.hdr").write_text("# Dimensions\n" + " ".join(map(str, data.shape)) + "\n")
        data.astype(np.complex64).ravel(order="F").tofile(self.folder / f"{name}.cfl")

    def read(self, name: str) -> Array:
        """Read an image `(y, x)`."""
        lines = (self.folder / f"{name}.hdr").read_text().splitlines()
        shape = [int(size) for size in lines[1].split()]
        data = np.fromfile(self.folder / f"{name}.cfl", np.complex64).reshape(shape, order="F")
        return np.asarray(np.squeeze(data), np.complex64)

    def run(self, *command: str) -> float:
        """Run a command; return its seconds."""
        start = time.perf_counter()
        subprocess.run(["bart", *command], check=True, cwd=self.folder, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    def overhead(self) -> float:
        """The seconds of a call that reads the k-space and writes it again."""
        return statistics.median(self.run("copy", "kspace", "copied") for _ in range(3))

    def pics(self, method: str, weight: float, iterations: int) -> float:
        """Reconstruct `kspace` with `maps` into `image`; return the seconds."""
        penalty = {"sense": ["-l2", "-r", str(weight)], "wavelet": [f"-RW:3:0:{weight}"], "tv": [f"-RT:3:0:{weight}"]}
        return self.run("pics", "-S", "-i", str(iterations), *penalty[method], "kspace", "maps", "image")


@contextmanager
def bart_on(kspace: Array, maps: Array | None = None) -> Iterator[Bart]:
    """BART with these data laid out for it."""
    with tempfile.TemporaryDirectory() as folder:
        bart = Bart(Path(folder))
        bart.write("kspace", kspace)
        if maps is not None:
            bart.write("maps", maps)
        yield bart
