"""What measurements that were held back say of a method on a scan: the weight to take, and whether to trust the image."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch

from medrecon.config.methods import PoissonTotalVariationSettings, WaveletSettings
from medrecon.held_out import HeldOut, hold_out
from medrecon.modality import Modality
from medrecon.progress import silent
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import AutomaticWeight
from medrecon.results import Trust
from medrecon.scans import Scan
from medrecon.weights.learned import LearnedReconstructor
from medrecon.workflows.methods import build_reconstructor

__all__ = ["Settled", "settle"]

#: The classical method that a network is held against.
_RIVALS = {Modality.MRI: WaveletSettings(), Modality.CT: PoissonTotalVariationSettings()}


@dataclass(frozen=True, eq=False)
class Settled:
    """A method with nothing left open, what is known of it, and how long that took."""

    reconstruct: Reconstructor
    trust: Trust | None = None
    seconds: float = 0.0


def settle(
    reconstruct: Reconstructor, opened: Scan, index: int, device: torch.device, *, check: bool = False
) -> Settled:
    """Settle an automatic weight on the slice at `index`, and see how well a network predicts it; other methods with `check` alone.

    A network is held against a classical method.
    """
    is_learned = isinstance(reconstruct, LearnedReconstructor)
    if not (check or is_learned or isinstance(reconstruct, AutomaticWeight)):
        return Settled(reconstruct)
    scan = opened.checked(range(index, index + 1), silent)
    problem = next(iter(scan.problems(reconstruct, device))).problem
    start = time.perf_counter()
    if isinstance(reconstruct, AutomaticWeight):
        choice = reconstruct.choose(problem.y, problem.A)
        held_out = min((error for _, error in choice.curve), default=None)
        return Settled(choice.reconstruct, Trust(held_out, weights=choice.curve), time.perf_counter() - start)
    split = hold_out(problem.y, problem.A)
    error = None if split is None else _error(reconstruct, split)
    if split is None or error is None or not is_learned:
        return Settled(reconstruct, Trust(error), time.perf_counter() - start)
    rival = _RIVALS[scan.modality]
    other = _error(build_reconstructor(rival, scan.modality, photons=scan.photons), split)
    assert other is not None
    trust = Trust(error, {rival.kind: other}, instead=rival.kind if other < error else None)
    return Settled(reconstruct, trust, time.perf_counter() - start)


def _error(reconstruct: Reconstructor, split: HeldOut) -> float | None:
    """The held-out error of a method; None for one whose images are not of the domain of the operator."""
    if isinstance(reconstruct, LearnedReconstructor):
        reconstruct = reconstruct.predictor
    x = reconstruct(split.y, split.A)
    if not split.A.domain.contains(x):
        return None
    error = float(split.error(x).mean())
    return error if math.isfinite(error) else None
