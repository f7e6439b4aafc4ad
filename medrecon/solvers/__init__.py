"""Iterative solvers: generators of `State`, run by `run`."""

from medrecon.solvers.admm import admm
from medrecon.solvers.conjugate_gradient import conjugate_gradient
from medrecon.solvers.ordered_subsets import ordered_subsets
from medrecon.solvers.primal_dual import primal_dual
from medrecon.solvers.proximal_gradient import (
    accelerated_proximal_gradient,
    proximal_gradient,
    scheduled_proximal_gradient,
)
from medrecon.solvers.sirt import sirt
from medrecon.solvers.state import Reason, Solution, State, run

__all__ = [
    "Reason",
    "Solution",
    "State",
    "accelerated_proximal_gradient",
    "admm",
    "conjugate_gradient",
    "ordered_subsets",
    "primal_dual",
    "proximal_gradient",
    "run",
    "scheduled_proximal_gradient",
    "sirt",
]
