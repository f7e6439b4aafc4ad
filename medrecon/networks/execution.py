"""How networks are run: less memory by recomputing, compiled U-Nets, full precision where it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from medrecon.errors import InputError
from medrecon.networks.unet import UNet
from medrecon.operators import LinearOperator
from medrecon.reconstructor import Reconstructor

__all__ = ["compile_unets", "emulates_bfloat16", "explain_compiler_error", "in_full_precision", "stage"]

Result = TypeVar("Result")

_LONGEST = 200  # letters of what a compiler says


def stage(work: Callable[[], Result], *, recompute: bool) -> Result:
    """One cascade; with `recompute` only what it starts from is kept for the gradient, and it is run again on the way back.

    The gradients are the same. Chen et al., Training deep nets with sublinear memory cost, arXiv:1604.06174 (2016).
    """
    if recompute and torch.is_grad_enabled():
        result: Result = checkpoint(work, use_reentrant=False, preserve_rng_state=False)
        return result
    return work()


def in_full_precision(method: Reconstructor, y: Tensor, A: LinearOperator) -> Tensor:
    """A classical reconstruction inside a network, without autocast, which would shorten its inner products."""
    with torch.autocast(y.device.type, enabled=False):
        return method(y, A)


def emulates_bfloat16(device: torch.device) -> bool:
    """Whether the device is a processor whose convolutions in bfloat16 are not those of oneDNN, and slower than in float32.

    oneDNN has them for x86 from AVX-512 on, and for some Arm processors; PyTorch may be built without it.
    """
    if device.type != "cpu":
        return False
    has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return not (has_onednn and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def compile_unets(network: nn.Module, *, backend: str = "inductor") -> int:
    """Compile every U-Net of a network in place by `torch.compile`, at its first call; gives their number.

    The operators between them stay as they are: complex numbers and compiled kernels gain nothing. Names of parameters do not
    change.

    Raises
    ------
    ValueError
        if the network holds no U-Net.
    """
    unets = [module for module in network.modules() if isinstance(module, UNet)]
    if not unets:
        raise ValueError(f"compile_unets takes a network with a UNet in it, got {type(network).__name__} without one")
    for unet in unets:
        unet.compile(backend=backend)
    return len(unets)


@contextmanager
def explain_compiler_error(
    option: str = "training.compile", without: str = "set training.compile=false"
) -> Iterator[None]:
    """Turn a failure of `torch.compile` into an `InputError` that names the option and says how to do without."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        reason = " ".join(str(error).split())[:_LONGEST]
        raise InputError(
            f"{option}: the network cannot be compiled here ({type(error).__name__}: {reason}); "
            f"install a C++ compiler, or {without}"
        ) from error
