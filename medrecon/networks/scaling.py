"""The size of an operator, by which networks scale it so that one step length suits all scans."""

from __future__ import annotations

import torch

from medrecon.operators import LinearOperator, operator_norm

__all__ = ["norm"]


def norm(A: LinearOperator, device: torch.device) -> float:
    """The bound of the operator norm that the factors of `A` know, else the norm by power iteration (anew at each call)."""
    bound = A.norm_bound
    return operator_norm(A, device=device) if bound is None else bound
