"""What measurements that were held back say of a method on a scan: the weight to take, and whether to trust the image."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medrecon.calibration import maps_error
from medrecon.config.reconstruction import ReconstructionSettings
from medrecon.config.usual_methods import USUAL_METHODS
from medrecon.errors import ChangedError
from medrecon.held_out import HeldOut, Prediction
from medrecon.operators import Crop
from medrecon.problem import Problem
from medrecon.progress import silent
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import AutomaticWeight
from medrecon.results import Trust
from medrecon.scans import Scan
from medrecon.spaces import Space
from medrecon.weights.learned import LearnedReconstructor, weights_behind
from medrecon.workflows.methods import build_reconstructor

__all__ = ["Settled", "settle", "with_phase"]

_ALIKE = 1.25  # weights whose images are one for the warning
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
    is_learned, is_open = weights_behind(reconstruct) is not None, isinstance(reconstruct, AutomaticWeight)
    check = is_learned if settings.check is None else settings.check
    if not (check or settings.candidates or is_open):
        return Settled(method.kind, reconstruct)
    others = settings.candidates or ((USUAL_METHODS[opened.modality].rival,) if is_learned else ())
    made: dict[str, Reconstructor] = {method.kind: reconstruct}
    for other in others:
        made[other.kind] = build_reconstructor(other, opened.modality, photons=photons, device=device)
    try:
        scan = opened.checked(range(index, index + 1), silent)
        return _settled(made, scan, device, choose=bool(settings.candidates))
    except ChangedError:
        raise
    except (ValueError, ArithmeticError, RuntimeError) as error:  # out of memory among them
        return _unknown(method.kind, reconstruct, " ".join(str(error).split()))


def _unknown(kind: str, method: Reconstructor, why: str) -> Settled:
    """The method, with its own weight where that is open, and why no more is known of it."""
    if isinstance(method, AutomaticWeight):
        return Settled(kind, method.reconstruct, Trust(None, unknown=f"{why}; the weight is the method's own"))
    return Settled(kind, method, Trust(None, unknown=why))


def _settled(made: Mapping[str, Reconstructor], scan: Scan, device: torch.device, *, choose: bool) -> Settled:
    """The first of the methods, or the best where one is to be chosen, with the errors of all."""
    start = time.perf_counter()
    splits = dict(zip(made, scan.held_out(tuple(made.values()), device), strict=True))
    kind, first = next(iter(made.items()))
    split = splits[kind]
    if split is None:
        return _unknown(kind, first, _FEW)
    weights: tuple[tuple[float, float], ...] = ()
    known: dict[str, Tensor] = {}
    if isinstance(first, AutomaticWeight):
        choice = first.choose_by(split)
        made, weights = {kind: choice.reconstruct}, choice.curve
        known = {} if choice.trial is None else {kind: choice.trial}
    elif not choose:
        known = _begun(kind, made, splits)
    found = _predictions(made, splits, known)
    if kind not in found and not choose:
        return _unknown(kind, made[kind], f"{kind} gives an image without the phase of k-space")
    errors = {name: one.error for name, one in found.items()}
    errors = {name: error for name, error in errors.items() if math.isfinite(error)}
    taken = min(errors, key=lambda name: errors[name], default=kind) if choose else kind
    seconds = time.perf_counter() - start
    trust = replace(_trust(taken, found, errors), weights=weights, seconds=seconds)
    return Settled(taken, made[taken], trust, seconds if choose or weights else 0.0)


def _trust(taken: str, found: Mapping[str, Prediction], errors: Mapping[str, float]) -> Trust:
    """What the errors of all methods say of the one that is taken."""
    if taken not in errors:
        return Trust(None, unknown=f"what {taken} predicts is not finite")
    rest = {name: error for name, error in errors.items() if name != taken}
    better = [name for name in rest if found[taken].excess(found[name]).is_large]
    instead = min(better, key=lambda name: rest[name], default=None)
    is_worse = instead is not None or found[taken].excess().is_certain
    return Trust(errors[taken], rest, instead=instead, is_worse=is_worse)


def _begun(kind: str, made: Mapping[str, Reconstructor], splits: Mapping[str, HeldOut | None]) -> dict[str, Tensor]:
    """The images of a network and of the rival that it begins with, by one run of both.

    Where coil maps are off the rival doubts them, and the network does not; and a network may begin with other settings: then each
    is run by itself.
    """
    method, split = made[kind], splits[kind]
    if split is None or not isinstance(method, LearnedReconstructor):
        return {}
    network = method.weights.settings.network
    rival = str(getattr(network, "initial", ""))
    if splits.get(rival) is not split or not _is_alike(getattr(network, rival.replace("-", "_"), None), made[rival]):
        return {}
    if bool(maps_error(split.y, split.A).any()):
        return {}
    x, initial = method.with_initial(split.y, split.A)
    return {kind: x} if initial is None else {kind: x, rival: initial}


def _is_alike(begins: object, rival: Reconstructor) -> bool:
    """Whether settings that a network begins with are near enough to those of a method that one image stands for both."""
    weights = [float(getattr(one, "weight", math.nan)) for one in (begins, rival)]
    iterations = [int(getattr(one, "iterations", 0)) for one in (begins, rival)]
    return (
        weights[0] <= _ALIKE * weights[1] and weights[1] <= _ALIKE * weights[0] and iterations[0] >= iterations[1] > 0
    )


def _predictions(
    made: Mapping[str, Reconstructor], splits: Mapping[str, HeldOut | None], known: Mapping[str, Tensor]
) -> dict[str, Prediction]:
    """What the images that methods make of the rest, unless they are known, predict of what is held back, where they predict any.

    An image that lacks the phase, or the whole object, has it from the first classical one.
    """
    found: dict[str, Prediction] = {}
    guide: tuple[Tensor, HeldOut] | None = None
    for kind, method in sorted(made.items(), key=lambda item: isinstance(item[1], LearnedReconstructor)):
        split = splits[kind]
        if split is None:
            continue
        x = known[kind] if kind in known else _image(method, split)
        if guide is not None and not split.held_A.domain.contains(x):
            x, split = _completed(x, *guide), guide[1]
        if split.held_A.domain.contains(x):
            guide = guide or (x, split)
            found[kind] = split.predicted(x)
    return {kind: found[kind] for kind in made if kind in found}


def _image(method: Reconstructor, split: HeldOut) -> Tensor:
    """The image of what is not held back; of a method that takes coil images its magnitude."""
    if "coil" in split.A.domain.axes:
        return method(split.y, split.A).abs()
    if isinstance(method, LearnedReconstructor):
        return method.with_phase(split.y, split.A)
    return method(split.y, split.A)


def _completed(x: Tensor, guide: Tensor, split: HeldOut) -> Tensor:
    """What `guide`, of the domain of `split`, has and `x` lacks: the phase of a magnitude, and what lies around the image."""
    if split.A.domain.is_complex:
        return with_phase(x, guide, Problem(split.y, split.A, (x.shape[-2], x.shape[-1])))
    return _surrounded(x, guide, split.held_A.domain)


def _surrounded(x: Tensor, guide: Tensor, space: Space) -> Tensor:
    """The image of a space that is `x` in its middle and `guide` around it."""
    inside = Crop(space, (*space.shape[:-2], *x.shape[-2:]))
    return guide + inside.H(x - inside(guide))


def with_phase(magnitude: Tensor, guide: Tensor, problem: Problem) -> Tensor:
    """The image of the problem's domain that shows the real `magnitude`, `(..., y, x)`, with the phase of `guide`.

    The centers of the two are laid on each other; where `guide` shows more, it stays itself.
    """
    space = problem.A.domain
    size = (min(magnitude.shape[-2], space.shape[-2]), min(magnitude.shape[-1], space.shape[-1]))
    plain = replace(problem, shape=size, step=(1.0, 1.0), gain=None)
    shown, wanted = plain.display_image(guide), plain.display_image(magnitude)
    factor = torch.where(shown > 0, wanted / shown, 0.0)
    seen = Crop(space, (*space.shape[:-2], *size))(guide)
    return _surrounded((factor.unsqueeze(-3) if "set" in space.axes else factor) * seen, guide, space)
