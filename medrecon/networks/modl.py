"""Model-based deep learning: one denoiser, shared by all iterations, between exact steps of data consistency."""

from __future__ import annotations

from torch import Tensor, nn

from medrecon.networks.consistency import ProximalStep
from medrecon.networks.execution import stage
from medrecon.networks.scaling import norm
from medrecon.operators import LinearOperator

__all__ = ["MoDL"]


class MoDL(nn.Module):
    """`x <- (A.H A + mu)^-1 (A.H y + mu network(x))` from `x = A.H y / |A|^2`, with the same network and weight each time.

    Aggarwal et al., MoDL, IEEE Trans Med Imaging 38:394 (2019).

    Parameters
    ----------
    network
        the denoiser of images `(..., y, x)`, for complex ones `Residual(NormalizedUNet(UNet(2, 2, 32), change=True))`.
    consistency
        the exact step, with the first weight and the conjugate gradients.
    n_iterations
        how often both are applied.
    recompute
        keep only the images between iterations for the gradient.

    Raises
    ------
    ValueError
        if `n_iterations` is below 1; when called, if `y` is not of the range of `A`.
    """

    def __init__(
        self,
        network: nn.Module,
        consistency: ProximalStep | None = None,
        n_iterations: int = 10,
        *,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if n_iterations < 1:
            raise ValueError(f"MoDL takes n_iterations of at least 1, got {n_iterations}")
        self.network = network
        self.consistency = ProximalStep() if consistency is None else consistency
        self.n_iterations, self.recompute = n_iterations, recompute

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        b = A.H(y)
        x = b / norm(A, y.device) ** 2
        for _ in range(self.n_iterations):

            def improve(x: Tensor = x) -> Tensor:
                return self.consistency.solve(self.network(x), b, A)

            x = stage(improve, recompute=self.recompute)
        return x
