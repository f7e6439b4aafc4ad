"""The primal-dual algorithm for `h(x) + g(x) + f(K x)`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from medrecon.functionals import Proximable, Smooth, conjugate
from medrecon.operators.linear import LinearOperator
from medrecon.operators.norm import operator_norm
from medrecon.solvers.state import State, relative

__all__ = ["primal_dual"]

_SLACK = 1 + 1e-4


def primal_dual(
    g: Proximable,
    f: Proximable,
    K: LinearOperator,
    x: Tensor,
    *,
    tau: float,
    sigma: float,
    smooth: Smooth | None = None,
) -> Iterator[State]:
    """Chambolle and Pock's iteration, with a smooth term `h` taken by its gradient where one is given (Condat, Vu).

        x_new = prox_{tau g}(x - tau (grad h(x) + K.H p))
        p     = prox_{sigma f*}(p + sigma K(2 x_new - x))

    It needs `tau (L / 2 + sigma |K|^2) <= 1`, with `L` the Lipschitz constant of `grad h` (0 without it).
    The criterion is `|(x_new - x, tau K.H (p_new - p))| / |x_new|`: a start that minimizes `h + g` moves in `p` alone at first.

    Chambolle & Pock, J Math Imaging Vis 40:120 (2011); Condat, J Optim Theory Appl 158:460 (2013).

    Raises
    ------
    ValueError
        for step sizes that do not meet the condition.
    """
    norm = operator_norm(K, device=x.device) if K.norm_bound is None else K.norm_bound
    lipschitz = 0.0 if smooth is None else smooth.lipschitz
    reach = tau * (lipschitz / 2 + sigma * norm**2)
    if not (tau > 0 and sigma > 0 and reach <= _SLACK):
        raise ValueError(
            f"primal_dual takes tau, sigma > 0 with tau (L / 2 + sigma |K|^2) <= 1, got {reach:.4g} "
            f"from tau = {tau:g}, sigma = {sigma:g}, L = {lipschitz:.4g}, |K| = {norm:.4g}"
        )
    return _iterate(g, conjugate(f), K, x, tau, sigma, smooth)


def _iterate(
    g: Proximable,
    f_conjugate: Proximable,
    K: LinearOperator,
    x: Tensor,
    tau: float,
    sigma: float,
    smooth: Smooth | None,
) -> Iterator[State]:
    p = torch.zeros_like(K(x))
    pull = torch.zeros_like(x)  # K.H p
    space = K.domain
    while True:
        slope = pull if smooth is None else pull + smooth.gradient(x)
        new = g.prox(torch.sub(x, slope, alpha=tau), tau)
        move = new - x
        p = f_conjugate.prox(torch.add(p, K(new + move), alpha=sigma), sigma)
        x, previous, pull = new, pull, K.H(p)
        change = torch.hypot(space.norm(move), tau * space.norm(pull - previous))
        yield State(x, relative(space, change, x))
