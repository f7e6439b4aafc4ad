"""What measurements that were held back say of a method on a scan: the weight to take, and whether to trust the image."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medrecon.config.reconstruction import ReconstructionSettings
from medrecon.config.usual_methods import USUAL_METHODS
from medrecon.held_out import HeldOut, hold_out
from medrecon.operators import Crop
from medrecon.problem import Problem
from medrecon.progress import silent
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import AutomaticWeight, RootSumOfSquares
from medrecon.results import Trust
from medrecon.scans import Scan
from medrecon.weights.learned import LearnedReconstructor
from medrecon.workflows.methods import build_reconstructor

__all__ = ["Settled", "settle", "with_phase"]

_FEW = "the scan has fewer than five lines or views that can be held back"


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

    A network is checked unless that is not wanted, and is held against a classical method. What goes wrong with that is told, and
    does not stop a reconstruction.

    Raises
    ------
    InputError
        If a method takes trained weights that are not there, or do not fit.
    """
    method = settings.method
    reconstruct = build_reconstructor(method, opened.modality, photons=photons, device=device)
    is_learned, is_open = isinstance(reconstruct, LearnedReconstructor), isinstance(reconstruct, AutomaticWeight)
    check = is_learned if settings.check is None else settings.check
    if not (check or settings.candidates or is_open):
        return Settled(method.kind, reconstruct)
    others = settings.candidates or ((USUAL_METHODS[opened.modality].rival,) if is_learned else ())
    made: dict[str, Reconstructor] = {method.kind: reconstruct}
    for other in others:
        made[other.kind] = build_reconstructor(other, opened.modality, photons=photons, device=device)
    try:
        return _settled(made, opened.checked(range(index, index + 1), silent), device, choose=bool(settings.candidates))
    except (ValueError, ArithmeticError, RuntimeError) as error:  # out of memory among them
        return Settled(method.kind, reconstruct, Trust(None, unknown=" ".join(str(error).split())))


def _settled(made: Mapping[str, Reconstructor], scan: Scan, device: torch.device, *, choose: bool) -> Settled:
    """The first of the methods, or the best where one is to be chosen, with the errors of all."""
    start = time.perf_counter()
    kind, reconstruct = next(iter(made.items()))
    if isinstance(reconstruct, AutomaticWeight):
        problem = _problem(scan, reconstruct, device)
        choice = reconstruct.choose(problem.y, problem.A)
        trust = Trust(min((error for _, error in choice.curve), default=None), weights=choice.curve)
        return Settled(kind, choice.reconstruct, trust, time.perf_counter() - start)
    split, images = _trials(made, scan, device)
    if split is None:
        return Settled(kind, reconstruct, Trust(None, unknown=_FEW))
    if kind not in images and not choose:
        return Settled(kind, reconstruct, Trust(None, unknown=f"{kind} gives an image without the phase of k-space"))
    errors = {name: float(split.error(x).mean()) for name, x in images.items()}
    errors = {name: error for name, error in errors.items() if math.isfinite(error)}
    taken = min(errors, key=lambda name: errors[name], default=kind) if choose else kind
    trust = replace(_trust(taken, images, errors, split), seconds=time.perf_counter() - start)
    return Settled(taken, made[taken], trust, trust.seconds if choose else 0.0)


def _trust(taken: str, images: Mapping[str, Tensor], errors: Mapping[str, float], split: HeldOut) -> Trust:
    """What the errors of all methods say of the one that is taken."""
    if taken not in errors:
        return Trust(None, unknown=f"what {taken} predicts is not finite")
    rest = {name: error for name, error in errors.items() if name != taken}
    better = [name for name in rest if split.excess(images[taken], images[name]).is_large]
    instead = min(better, key=lambda name: rest[name], default=None)
    is_worse = instead is not None or split.excess(images[taken]).is_certain
    return Trust(errors[taken], rest, instead=instead, is_worse=is_worse)


def _trials(
    made: Mapping[str, Reconstructor], scan: Scan, device: torch.device
) -> tuple[HeldOut | None, dict[str, Tensor]]:
    """What is held back of the scan as classical methods take it, and the images that methods make of the rest, of one domain.

    A method without coil maps makes its image of the same lines. A magnitude has the phase of the first classical image.
    """
    classical = [one for one in made.values() if not _takes_coil_images(one)]
    problem = _problem(scan, classical[0] if classical else next(iter(made.values())), device)
    split = hold_out(problem.y, problem.A)
    if split is None:
        return None, {}
    images: dict[str, Tensor] = {}
    for kind, method in sorted(made.items(), key=lambda item: isinstance(item[1], LearnedReconstructor)):
        x = _image(method, _problem(scan, method, device) if _takes_coil_images(method) else problem, split)
        if not split.A.domain.contains(x) and images:
            x = with_phase(x, next(iter(images.values())), problem)
        if split.A.domain.contains(x):
            images[kind] = x
    return split, {kind: images[kind] for kind in made if kind in images}


def _image(method: Reconstructor, problem: Problem, split: HeldOut) -> Tensor:
    """The image of what is not held back, of the problem as the method takes it; a magnitude where that is its own."""
    if not _takes_coil_images(method):
        if isinstance(method, LearnedReconstructor):
            return method.with_phase(split.y, split.A)
        return method(split.y, split.A)
    own = hold_out(problem.y, problem.A)
    assert own is not None  # of the same lines
    return method(own.y, own.A).abs()


def with_phase(magnitude: Tensor, guide: Tensor, problem: Problem) -> Tensor:
    """The image of the problem's domain that shows the real `magnitude`, `(..., y, x)`, with the phase of `guide`.

    The centers of the two are laid on each other; where `guide` shows more, it stays itself.
    """
    space = problem.A.domain
    size = (min(magnitude.shape[-2], space.shape[-2]), min(magnitude.shape[-1], space.shape[-1]))
    plain = replace(problem, shape=size, step=(1.0, 1.0), gain=None)
    shown, wanted = plain.display_image(guide), plain.display_image(magnitude)
    inside = Crop(space, (*space.shape[:-2], *size))
    seen = inside(guide)
    factor = torch.where(shown > 0, wanted / shown, 0.0)
    return guide + inside.H((factor.unsqueeze(-3) if "set" in space.axes else factor) * seen - seen)


def _takes_coil_images(method: Reconstructor) -> bool:
    return isinstance(method, RootSumOfSquares) or (
        isinstance(method, LearnedReconstructor) and method.weights.family == "coils"
    )


def _problem(scan: Scan, method: Reconstructor, device: torch.device) -> Problem:
    return next(iter(scan.problems(method, device))).problem
