"""Time and peak memory of ESPIRiT: medrecon beside SigPy and, where installed, the program `bart`.

Run as `python benchmarks/espirit_speed.py [repeats]`. Each method runs in a process of its own, in alternation; the time
is that of the call alone (for `bart`, of its process, less that of a call that does nothing).
"""

import gc
import multiprocessing
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIZES = [(8, 256, 256), (16, 640, 320), (15, 640, 368)]
Array = NDArray[np.complex64]


def kspace_of(size: tuple[int, int, int], noise: float = 1e-4) -> Array:
    """Simulate a phantom in a birdcage of coils."""
    import sigpy
    import sigpy.mri

    maps = sigpy.mri.birdcage_maps(size)
    images = sigpy.shepp_logan(size[1:]) * maps / np.linalg.norm(maps, axis=0)
    kspace = sigpy.fft(images, axes=(-2, -1))
    rng = np.random.default_rng(0)
    kspace = kspace + noise * (rng.standard_normal(size) + 1j * rng.standard_normal(size)) * abs(kspace).max()
    return np.asarray(kspace, np.complex64)


def time_medrecon(kspace: Array) -> float:
    import torch

    from medrecon.calibration import espirit

    data = torch.from_numpy(kspace)
    espirit(data[:, :64, :64])
    start = time.perf_counter()
    espirit(data)
    return time.perf_counter() - start


def time_sigpy(kspace: Array) -> float:
    from sigpy.mri.app import EspiritCalib

    EspiritCalib(kspace[:, :64, :64], show_pbar=False, max_iter=1).run()
    start = time.perf_counter()
    EspiritCalib(kspace, show_pbar=False).run()
    return time.perf_counter() - start


def time_bart(kspace: Array) -> float:
    with tempfile.TemporaryDirectory() as folder:
        name = str(Path(folder) / "kspace")
        data = kspace.transpose(1, 2, 0)[:, :, None, :]
        Path(name + ".hdr").write_text("# Dimensions\n" + " ".join(map(str, data.shape)) + "\n")
        data.ravel(order="F").tofile(name + ".cfl")
        times = []
        for command in (["version"], ["ecalib", "-m1", "-r24", name, name + "_maps"]):
            start = time.perf_counter()
            subprocess.run(["bart", *command], check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - start)
    return times[1] - times[0]


METHODS = {"medrecon": time_medrecon, "sigpy": time_sigpy} | ({"bart": time_bart} if shutil.which("bart") else {})


def peak_mebibytes() -> float:
    """Return the largest resident memory of this process since it was last reset (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(task: tuple[str, tuple[int, int, int]]) -> tuple[float, float]:
    """Return the seconds of one call and the memory in MiB that it took beside its input (for `bart`, in all)."""
    name, size = task
    kspace = kspace_of(size)
    METHODS[name](kspace[:, :64, :64])
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mebibytes()
    seconds = METHODS[name](kspace)
    if name == "bart":
        return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return seconds, peak_mebibytes() - before


def main(repeats: int) -> None:
    print(f"{'size':>14} {'method':>9} {'median s':>9} {'min':>7} {'max':>7} {'peak MiB':>9} {'x medrecon':>10}")
    context = multiprocessing.get_context("spawn")
    for size in SIZES:
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in METHODS}
        for _ in range(repeats):
            for name, results in runs.items():
                with context.Pool(1) as pool:
                    results.append(pool.apply(measure, ((name, size),)))
        ours = statistics.median(seconds for seconds, _ in runs["medrecon"])
        for name, results in runs.items():
            times = [seconds for seconds, _ in results]
            median, memory = statistics.median(times), statistics.median(peak for _, peak in results)
            shape = " x ".join(map(str, size))
            print(
                f"{shape:>14} {name:>9} {median:9.3f} {min(times):7.3f} {max(times):7.3f} {memory:9.0f} "
                f"{median / ours:10.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
