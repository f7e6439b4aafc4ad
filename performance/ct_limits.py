"""How near the CT projectors come to what this processor can do.

    python performance/ct_limits.py [--keep]

Measured here, on as many threads as torch uses: multiply-adds a second of vectors in registers, and loads a second from buffers
that fit the first, the second and the last cache. A sample of a ray needs two of each for every lane; the time that this alone
would take is set beside the time of the projector.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from tables import publish

from medrecon.geometry import lodopab, lodopab_grid
from medrecon.operators import Radon
from medrecon.operators.kernels.clipping import clip
from medrecon.operators.kernels.compiled import compiled
from medrecon.operators.kernels.joseph import _line, _normal
from medrecon.operators.kernels.orbits import find_orbits
from medrecon.operators.kernels.pixels import box_of, spacing_of
from medrecon.operators.kernels.stacks import lanes_of, row_stride
from medrecon.operators.kernels.threads import run_all
from medrecon.operators.kernels.vectors import load, multiply_add, store, zeros

CACHES = {
    "first cache": 16 << 10,
    "second cache": 512 << 10,
    "last cache": 8 << 20,
    "memory": 256 << 20,
}  # bytes a thread
LANES = (np.float32(0),) * 16
LOADED = 1 << 30  # bytes


@compiled
def _multiply_adds(x: Any, count: Any, lanes: Any) -> None:
    value = load(x, 0, lanes)
    a, b, c, d = zeros(lanes), zeros(lanes), zeros(lanes), zeros(lanes)
    e, f, g, h = zeros(lanes), zeros(lanes), zeros(lanes), zeros(lanes)
    for i in range(count):
        a, b, c, d = (
            multiply_add(i, value, a),
            multiply_add(i, value, b),
            multiply_add(i, value, c),
            multiply_add(i, value, d),
        )
        e, f, g, h = (
            multiply_add(i, value, e),
            multiply_add(i, value, f),
            multiply_add(i, value, g),
            multiply_add(i, value, h),
        )
    total = multiply_add(1.0, a, multiply_add(2.0, b, multiply_add(3.0, c, multiply_add(4.0, d, e))))
    store(x, 0, multiply_add(5.0, f, multiply_add(6.0, g, multiply_add(7.0, h, total))))


@compiled
def _loads(x: Any, rounds: Any, lanes: Any) -> None:
    a, b, c, d = zeros(lanes), zeros(lanes), zeros(lanes), zeros(lanes)
    n = len(lanes)
    for turn in range(rounds):
        for i in range(0, x.shape[0], 4 * n):
            a = multiply_add(turn, load(x, i, lanes), a)
            b = multiply_add(turn, load(x, i + n, lanes), b)
            c = multiply_add(turn, load(x, i + 2 * n, lanes), c)
            d = multiply_add(turn, load(x, i + 3 * n, lanes), d)
    store(x, 0, multiply_add(1.0, a, multiply_add(1.0, b, multiply_add(1.0, c, d))))


@compiled
def _samples(directions: Any, bins: Any, n_bins: Any, box: Any) -> Any:
    total = 0
    for orbit in range(directions.shape[0]):
        for k in range(n_bins):
            cosine, sine = _normal(directions[orbit], bins[k])
            base, slope, _, limit = _line(cosine, sine, bins[k, 2], box, False)
            first, last = clip(base, slope, limit, 0, box[0])
            total += last - first
    return total


def fastest(call: Callable[[], object], repeats: int = 7) -> float:
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[repeats // 2]


def on_all_threads(work: Callable[[np.ndarray[Any, Any]], None], size: int) -> float:
    n = torch.get_num_threads()
    buffers = [np.zeros(size // 4, np.float32) for _ in range(n)]
    return fastest(lambda: run_all(lambda start, _: work(buffers[start]), [(k, k + 1) for k in range(n)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="write docs/benchmarks/ct_limits.json")
    arguments = parser.parse_args()
    n, lanes, count = torch.get_num_threads(), len(LANES), 20_000_000
    seconds = on_all_threads(lambda x: _multiply_adds(x, count, LANES), 4096)
    adds = n * 8 * lanes * count / seconds  # lanes a second
    loads = {}
    for name, size in CACHES.items():
        rounds = max(1, LOADED // size)
        loads[name] = n * rounds * size / 4 / on_all_threads(partial(_loads, rounds=rounds, lanes=LANES), size)
    A, grid = Radon(lodopab_grid(), lodopab()), lodopab_grid()
    rays = lodopab().rays()
    orbits = find_orbits(rays.views, rays.bins, square=True)
    samples = int(_samples(orbits.directions, rays.bins, orbits.n_bins, box_of(grid.shape, spacing_of(grid))))
    samples *= len(orbits.symmetries)
    rows = []
    for batch in (1, 8):
        width = len(lanes_of(min(batch, 4), orbits, np.float32))
        megabytes = (grid.shape[0] + 2) * row_stride(grid.shape[1], width) * 4 / 2**20
        x, y = torch.rand(batch, *grid.shape), torch.rand(batch, *lodopab().shape)
        for name, call in (("forward", lambda x=x: A(x)), ("adjoint", lambda y=y: A.H(y))):
            took = fastest(call) / batch
            bounds = [2 * samples / adds, *(2 * samples / rate for rate in loads.values())]
            cells = [f"{1e3 * bound:.1f}" for bound in bounds]
            rows.append([str(batch), name, str(width), f"{megabytes:.0f}", f"{1e3 * took:.1f}", *cells])
    columns = ["batch", "operation", "lanes", "MiB of images", "ms an image", "multiply-adds", *CACHES]
    notes = [
        f"{samples / 1e6:.0f} million samples an image; {adds / 1e9:.0f} billion multiply-adds of lanes a second on {n} threads.",
        "Billions of numbers loaded a second: "
        + ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in loads.items())
        + ".",
        "From multiply-adds on: the milliseconds that two of them, or two loads from there, for each sample would take.",
    ]
    command = "python performance/ct_limits.py" + (" --keep" if arguments.keep else "")
    publish("ct_limits", "What the processor allows, LoDoPaB", command, columns, rows, notes, keep=arguments.keep)


if __name__ == "__main__":
    main()
