"""What measurements that were held back say of a method on a scan: the weight to take, and whether to trust the image."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from medrecon.config.methods import MethodSettings, PoissonTotalVariationSettings, WaveletSettings
from medrecon.config.reconstruction import ReconstructionSettings
from medrecon.held_out import HeldOut, hold_out
from medrecon.modality import Modality
from medrecon.problem import Problem
from medrecon.progress import silent
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import AutomaticWeight
from medrecon.results import Trust
from medrecon.scans import Scan
from medrecon.weights.learned import LearnedReconstructor
from medrecon.workflows.methods import build_reconstructor

__all__ = ["Settled", "settle"]

#: The classical method that a network is held against.
_RIVALS: dict[Modality, MethodSettings] = {
    Modality.MRI: WaveletSettings(),
    Modality.CT: PoissonTotalVariationSettings(),
}
_SLACK = 1.2  # times the error of another method, above which one predicts worse


@dataclass(frozen=True, eq=False)
class Settled:
    """A method with nothing left open, by its name; what is known of it, and how long that took."""

    kind: str
    reconstruct: Reconstructor
    trust: Trust | None = None
    seconds: float = 0.0


def settle(
    settings: ReconstructionSettings, opened: Scan, index: int, device: torch.device, photons: float | None
) -> Settled:
    """Settle method and weight on the slice at `index`, where they are open, and see how well the method predicts it with `check`.

    With `check` a network is held against a classical method.

    Raises
    ------
    InputError
        If a method takes trained weights that are not there, or do not fit.
    """
    method = settings.method
    reconstruct = build_reconstructor(method, opened.modality, photons=photons, device=device)
    is_learned, is_open = isinstance(reconstruct, LearnedReconstructor), isinstance(reconstruct, AutomaticWeight)
    if not (settings.check or settings.candidates or is_open):
        return Settled(method.kind, reconstruct)
    others = settings.candidates or ((_RIVALS[opened.modality],) if is_learned else ())
    made: dict[str, Reconstructor] = {method.kind: reconstruct}
    for other in others:
        made[other.kind] = build_reconstructor(other, opened.modality, photons=photons, device=device)
    try:
        problem = next(iter(opened.checked(range(index, index + 1), silent).problems(reconstruct, device))).problem
        return _settled(made, problem, choose=bool(settings.candidates))
    except (ValueError, ArithmeticError):  # which the image itself will tell, with its place
        return Settled(method.kind, reconstruct)


def _settled(made: Mapping[str, Reconstructor], problem: Problem, *, choose: bool) -> Settled:
    """The first of the methods, or the best where one is to be chosen, with the errors of all."""
    start = time.perf_counter()
    kind, reconstruct = next(iter(made.items()))
    if isinstance(reconstruct, AutomaticWeight):
        choice = reconstruct.choose(problem.y, problem.A)
        trust = Trust(min((error for _, error in choice.curve), default=None), weights=choice.curve)
        return Settled(kind, choice.reconstruct, trust, time.perf_counter() - start)
    split = hold_out(problem.y, problem.A)
    errors = {} if split is None else _errors(made, split)
    best = min(errors, key=lambda name: errors[name], default=kind)
    taken = best if choose else kind
    rest = {name: error for name, error in errors.items() if name != taken}
    instead = best if taken in errors and errors[taken] > _SLACK * errors[best] else None
    return Settled(taken, made[taken], Trust(errors.get(taken), rest, instead=instead), time.perf_counter() - start)


def _errors(made: Mapping[str, Reconstructor], split: HeldOut) -> dict[str, float]:
    """The held-out errors of methods, but for those whose images are not of the domain of the operator."""
    errors = {kind: _error(reconstruct, split) for kind, reconstruct in made.items()}
    return {kind: error for kind, error in errors.items() if error is not None}


def _error(reconstruct: Reconstructor, split: HeldOut) -> float | None:
    """The held-out error of a method; None for one whose images are not of the domain of the operator."""
    if isinstance(reconstruct, LearnedReconstructor):
        reconstruct = reconstruct.predictor
    x = reconstruct(split.y, split.A)
    if not split.A.domain.contains(x):
        return None
    error = float(split.error(x).mean())
    return error if math.isfinite(error) else None
