"""Whether the lines of k-space lie in their own order, and not in that in which they were measured."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.findings import Finding, KSpaceFinding, Severity
from medrecon.scans.mri_energy import LEAST_SIZE, Energy
from medrecon.words import listed

__all__ = ["interleaved_lines"]

MOST = 8  # interleaves
ROUGH, ROUGHER = 1.4, 1.3  # times what a single peak goes up and down, and the lines in their own order
SMOOTH = 1.5  # times what a single peak goes up and down, which it does at most in that


def interleaved_lines(sample: KSpaceSample, energy: Energy) -> Iterator[Finding]:
    """Tell of lines that are stored every second one first, or every third and so on: energy peaks as often as there are such runs.

    In their own order it has one peak, in the middle, up to the fringes that an object leaves.
    """
    profile = energy.total.sum(-2)
    sampled = sample.sampled if sample.sampled.ndim == 1 else sample.sampled.any(dim=0)
    n = len(profile)
    if n < 2 * LEAST_SIZE or not bool(sampled.all()) or (before := _roughness(profile)) < ROUGH:
        return
    orders = {(m, is_backward): _order(n, m, is_backward) for m in range(2, MOST + 1) for is_backward in (False, True)}
    found = {way: profile[order] for way, order in orders.items()}
    near = {way: one for way, one in found.items() if abs(int(one.argmax()) - n // 2) <= max(1, n // 16)}
    if not near:
        return
    m, is_backward = min(near, key=lambda way: _roughness(near[way]))
    after = _roughness(near[m, is_backward])
    if after > SMOOTH or before < ROUGHER * after:
        return
    runs = tuple(range(m - 1, -1, -1) if is_backward else range(m))
    cure = f"numpy.argsort(numpy.concatenate([numpy.arange({n})[first::{m}] for first in {runs}]))"
    yield Finding(
        KSpaceFinding.LINE_ORDER,
        Severity.PROBLEM,
        f"energy peaks {m} times along the lines (kx), and once with them interleaved: lines {listed(range(runs[0], n, m), 3)} "
        f"were stored first, then those between; the image would be wrong along this axis: write kspace[..., {cure}]",
    )


def _order(n: int, m: int, is_backward: bool) -> Tensor:
    """Where each of `n` lines lies if every `m`-th one is stored by itself, run after run."""
    runs = [torch.arange(first, n, m) for first in range(m)]
    return torch.cat(runs[::-1] if is_backward else runs).argsort()


def _roughness(profile: Tensor) -> float:
    """How much magnitudes go up and down over lines, of what a single peak does: 1 or more."""
    magnitude = profile.sqrt()
    ends = float(magnitude[0] + magnitude[-1])
    return float(magnitude.diff().abs().sum()) / max(2 * float(magnitude.max()) - ends, 1e-300)
