"""The norm of an operator."""

from __future__ import annotations

import torch

from medrecon.operators.linear import LinearOperator

__all__ = ["operator_norm"]


def operator_norm(
    A: LinearOperator,
    *,
    device: torch.device | str = "cpu",
    iterations: int = 100,
    tolerance: float = 1e-4,
    generator: torch.Generator | None = None,
) -> float:
    """The largest singular value of `A` (of the batch, where `A` holds one), by power iteration on `A.gram`.

    The estimate grows towards the norm from below; it stops when it changes by less than `tolerance`, relatively, or after
    `iterations`. Without a `generator` the start is that of seed 0.
    """
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    x = A.domain.random(generator=generator).to(device)
    previous = 0.0
    with torch.no_grad():
        for _ in range(iterations):
            x = x / torch.as_tensor(A.domain.expand(A.domain.norm(x).clamp_min(1e-30)))
            x = A.gram(x)
            estimate = float(A.domain.norm(x).max())
            if abs(estimate - previous) <= tolerance * estimate:
                break
            previous = estimate
    return float(estimate**0.5)
