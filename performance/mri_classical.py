"""Time and memory of the classical MRI methods: medrecon beside SigPy and, where installed, the program `bart`.

    python performance/mri_classical.py [--repeats 5] [--small] [--keep]

A phantom in a birdcage of coils, equispaced lines with a calibration center at 4x, and noise. Each package's weight is searched
for on one scan (other noise, other mask), and what is timed is another. A peer is stopped at the iteration where it comes within
2 % of its least error in 100 iterations; medrecon where it reaches the same error against the truth. Runs alternate; the figure is
a ratio of medians.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from peers import HAS_BART, Array, bart_on, sigpy_app, sigpy_curve
from tables import publish
from torch import Tensor

from medrecon.calibration import espirit
from medrecon.data.mri.birdcage import birdcage_maps, normalize_maps
from medrecon.data.mri.masks import equispaced_fraction_mask
from medrecon.data.phantoms.mri_phantoms import shepp_logan
from medrecon.operators import Fourier, sense
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import Sense, TotalVariation, WaveletSparsity
from medrecon.spaces import Space

SIZES = [(8, 256, 256), (16, 640, 320)]
METHODS = ("sense", "wavelet", "tv")
STEPS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20, 25, 30, 35, 40, 50, 60, 80, 100)
WEIGHTS: dict[str, dict[str, tuple[float, ...]]] = {
    "medrecon": {
        "sense": (0.0, 1.0, 3.0, 10.0),
        "wavelet": (0.0005, 0.001, 0.002, 0.004),
        "tv": (0.0005, 0.001, 0.002, 0.004),
    },
    "sigpy": {
        "sense": (0.0, 1e-3, 1e-2),
        "wavelet": (3e-4, 1e-3, 3e-3, 1e-2),
        "tv": (1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    },
    "bart": {"sense": (0.0, 1e-3, 1e-2), "wavelet": (5e-4, 1e-3, 2e-3), "tv": (1e-2, 3e-2, 1e-1)},
}


@dataclass(frozen=True, eq=False)
class Scan:
    """A simulated scan of which the truth and the maps are known."""

    truth: Tensor
    maps: Tensor
    sampled: Tensor
    y: Tensor

    def error(self, x: Array) -> float:
        """The error relative to the truth."""
        truth = self.truth.numpy()
        return float(np.linalg.norm(np.asarray(x).reshape(truth.shape) - truth) / np.linalg.norm(truth))


def simulate(size: tuple[int, int, int], seed: int, *, acceleration: float = 4.0, sigma: float = 0.002) -> Scan:
    """A scan with complex noise of standard deviation `sigma`, the phantom's maximum being 1."""
    generator = torch.Generator().manual_seed(seed)
    image = shepp_logan().image(size[1:])
    truth = (image / image.max()).to(torch.complex64)
    maps = normalize_maps(birdcage_maps(size[0], size[1:]))
    sampled = equispaced_fraction_mask(size[2], acceleration, 0.08, seed).sampled
    kspace = Fourier(Space(("coil", "y", "x"), size, is_complex=True))(maps * truth)
    noise = torch.randn(size, dtype=torch.complex64, generator=generator)
    return Scan(truth, maps, sampled, (kspace + sigma * noise) * sampled)


def ours(method: str, weight: float, iterations: int) -> Reconstructor:
    match method:
        case "sense":
            return Sense(weight=weight, iterations=iterations, tolerance=0.0)
        case "wavelet":
            return WaveletSparsity(weight=weight, iterations=iterations)
        case "tv":
            return TotalVariation(weight=weight, iterations=iterations)
    raise ValueError(method)


def run_medrecon(scan: Scan, method: str, weight: float, iterations: int) -> Array:
    return np.asarray(ours(method, weight, iterations)(scan.y, sense(scan.sampled, scan.maps)).numpy())


def run_sigpy(scan: Scan, method: str, weight: float, iterations: int) -> Array:
    return np.asarray(sigpy_app(method, scan.y.numpy(), scan.maps.numpy(), weight, iterations).run())


def run_bart(scan: Scan, method: str, weight: float, iterations: int) -> tuple[Array, float]:
    with bart_on(scan.y.numpy(), scan.maps.numpy()) as bart:
        seconds = bart.pics(method, weight, iterations)
        return bart.read("image"), max(seconds - bart.overhead(), 1e-4)


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def errors(package: str, scan: Scan, method: str, weight: float) -> dict[int, float]:
    """The error after each number of iterations that is tried."""
    match package:
        case "sigpy":
            curve = sigpy_curve(method, scan.y.numpy(), scan.maps.numpy(), weight, STEPS[-1], scan.error)
            return {n: curve[n - 1] for n in STEPS if n <= len(curve)}
        case "bart":
            return {n: scan.error(run_bart(scan, method, weight, n)[0]) for n in STEPS[7::3]}
    return {n: scan.error(run_medrecon(scan, method, weight, n)) for n in STEPS}


@cache
def searched_weight(package: str, method: str, size: tuple[int, int, int]) -> float:
    """The weight with the least error at any iteration, on a scan that is not timed."""
    scan = simulate(size, seed=1)
    return min(WEIGHTS[package][method], key=lambda weight: min(errors(package, scan, method, weight).values()))


def first_below(curve: dict[int, float], level: float) -> int:
    return next((n for n, error in curve.items() if error <= level), max(curve))


def peak_mebibytes() -> float:
    """The largest resident memory of this process since it was last reset (Linux)."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def memory_of(package: str, size: tuple[int, int, int], method: str, weight: float, iterations: int) -> float:
    """MiB that one call takes beside its input, in a process of its own (for `bart`, all that it takes)."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        mebibytes: float = pool.apply(_memory, ((package, size, method, weight, iterations),))
        return mebibytes


def _memory(task: tuple[str, tuple[int, int, int], str, float, int]) -> float:
    package, size, method, weight, iterations = task
    calls: dict[str, Callable[[Scan, str, float, int], object]] = {
        "medrecon": run_medrecon,
        "sigpy": run_sigpy,
        "bart": run_bart,
        "espirit": run_espirit,
    }
    call = calls[package]
    acceleration = 1.0 if package == "espirit" else 4.0
    call(simulate((4, 64, 64), 0, acceleration=acceleration), method, weight, 2)
    scan = simulate(size, 0, acceleration=acceleration)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else freed memory would hide what the call takes
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mebibytes()
    call(scan, method, weight, iterations)
    if "bart" in (package, method):
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return peak_mebibytes() - before


def compare(size: tuple[int, int, int], method: str, repeats: int) -> tuple[list[list[str]], str]:
    """One row a peer, medrecon and the peer at the same error; and a note of the least errors."""
    scan = simulate(size, seed=2)
    weight = searched_weight("medrecon", method, SIZES[0])
    curve = errors("medrecon", scan, method, weight)
    rows = []
    least = {"medrecon": min(curve.values())}
    for peer in ("sigpy", "bart") if HAS_BART else ("sigpy",):
        theirs = searched_weight(peer, method, SIZES[0])
        their_curve = errors(peer, scan, method, theirs)
        least[peer] = min(their_curve.values())
        level = 1.02 * least[peer]
        n_theirs, n_ours = first_below(their_curve, level), first_below(curve, level)
        call_ours = partial(run_medrecon, scan, method, weight, n_ours)
        times: tuple[list[float], list[float]] = ([], [])
        call_ours()
        for _ in range(repeats):
            times[0].append(timed(call_ours))
            if peer == "bart":
                times[1].append(run_bart(scan, method, theirs, n_theirs)[1])
            else:
                times[1].append(timed(partial(run_sigpy, scan, method, theirs, n_theirs)))
        memory = memory_of("medrecon", size, method, weight, n_ours), memory_of(peer, size, method, theirs, n_theirs)
        rows.append(
            _row(
                size,
                method,
                peer,
                times,
                memory,
                (n_ours, n_theirs),
                f"{curve[n_ours]:.4f}{'' if curve[n_ours] <= level else ' (not reached)'} / {their_curve[n_theirs]:.4f}",
            )
        )
    errors_of = ", ".join(f"{package} {error:.4f}" for package, error in least.items())
    return rows, f"Least error in {STEPS[-1]} iterations, {' x '.join(map(str, size))}, {method}: {errors_of}."


def _row(
    size: tuple[int, int, int],
    method: str,
    peer: str,
    times: tuple[list[float], list[float]],
    memory: tuple[float, float],
    iterations: tuple[int, int] | None,
    errors: str,
) -> list[str]:
    ours, theirs = (statistics.median(values) for values in times)
    spread = " / ".join(f"{min(values):.3g}-{max(values):.3g}" for values in times)
    return [
        " x ".join(map(str, size)),
        method,
        peer,
        errors,
        "" if iterations is None else f"{iterations[0]} / {iterations[1]}",
        f"{ours:.3g} / {theirs:.3g}",
        spread,
        f"{theirs / ours:.1f}x",
        f"{memory[0]:.0f} / {memory[1]:.0f}",
    ]


def run_espirit(scan: Scan, peer: str, weight: float, iterations: int) -> None:
    """Coil maps from a fully sampled scan, by medrecon or a peer; the other arguments are unused."""
    del weight, iterations
    match peer:
        case "medrecon":
            espirit(scan.y)
        case "sigpy":
            from sigpy.mri.app import EspiritCalib

            EspiritCalib(scan.y.numpy(), show_pbar=False).run()
        case "bart":
            _bart_espirit(scan)


def _bart_espirit(scan: Scan) -> float:
    with bart_on(scan.y.numpy()) as bart:
        return max(bart.run("ecalib", "-m1", "-r24", "kspace", "maps") - bart.overhead(), 1e-4)


def compare_espirit(size: tuple[int, int, int], repeats: int) -> list[list[str]]:
    scan = simulate(size, 0, acceleration=1.0, sigma=1e-3)
    rows = []
    for peer in ("sigpy", "bart") if HAS_BART else ("sigpy",):
        times: tuple[list[float], list[float]] = ([], [])
        espirit(scan.y)
        for _ in range(repeats):
            times[0].append(timed(partial(espirit, scan.y)))
            times[1].append(_bart_espirit(scan) if peer == "bart" else timed(partial(run_espirit, scan, peer, 0.0, 0)))
        memory = memory_of("espirit", size, "medrecon", 0.0, 0), memory_of("espirit", size, peer, 0.0, 0)
        rows.append(_row(size, "espirit", peer, times, memory, None, ""))
    return rows


def compare_operator(size: tuple[int, int, int]) -> list[str]:
    """The SENSE operator and its adjoint over the bare transforms and multiplications of the same sizes."""
    scan = simulate(size, 0)
    A, lines = sense(scan.sampled, scan.maps), scan.sampled.to(torch.complex64)
    conjugates = scan.maps.conj().resolve_conj()

    def bare(x: Tensor, y: Tensor) -> None:
        torch.fft.fft2(scan.maps * x, norm="ortho") * lines
        (torch.fft.ifft2(y * lines, norm="ortho") * conjugates).sum(0)

    def operator(x: Tensor, y: Tensor) -> None:
        A(x)
        A.H(y)

    times: tuple[list[float], list[float]] = ([], [])
    for call in (operator, bare) * 5:
        call(scan.truth, scan.y)
    for _ in range(60):
        times[0].append(timed(partial(operator, scan.truth, scan.y)))
        times[1].append(timed(partial(bare, scan.truth, scan.y)))
    return [*_row(size, "A and A.H", "bare torch", times, (0.0, 0.0), None, "")[:-1], ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="8 x 256 x 256 only")
    parser.add_argument("--keep", action="store_true", help="write the table for the README")
    options = parser.parse_args()
    rows: list[list[str]] = []
    notes = [
        "Pairs are medrecon / peer; the error is |x - truth| / |truth|.",
        "The ratio is of the median times, above 1 where medrecon is faster.",
    ]
    for size in SIZES[:1] if options.small else SIZES:
        rows.append(compare_operator(size))
        rows += compare_espirit(size, options.repeats)
        for method in METHODS:
            more, note = compare(size, method, options.repeats)
            rows += more
            notes.append(note)
    columns = ["size", "method", "peer", "error", "iterations", "seconds", "range", "ratio", "peak MiB"]
    publish(
        "mri_classical",
        "Classical MRI methods at the same error",
        f"python performance/mri_classical.py --repeats {options.repeats} --keep",
        columns,
        rows,
        notes,
        keep=options.keep,
    )


if __name__ == "__main__":
    torch.set_grad_enabled(mode=False)
    main()
