"""The transforms of CT as operations of torch: kernels for CPU and CUDA, shapes, derivatives of any order, autocast.

Images are `(batch, y, x)`, sinograms `(batch, angle, detector)`. `views` and `bins` are those of `medrecon.geometry.Rays`,
`spacing` is that of `pixels.spacing_of`, and `detector` the five numbers of `detector_line`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from medrecon.geometry import FanBeam, Geometry

__all__ = ["backproject", "backproject_adjoint", "detector_line", "joseph", "joseph_adjoint"]


def detector_line(geometry: Geometry) -> tuple[float, ...]:
    """Where the bins lie: kind (0 parallel, 1 flat, 2 curved), first, spacing; distance of center and detector from the source."""
    first = float(geometry.positions()[0])
    if isinstance(geometry, FanBeam):
        distances = geometry.source_distance, geometry.source_to_detector
        return (2.0 if geometry.curved else 1.0, first, geometry.spacing, *distances)
    return (0.0, first, geometry.spacing, 0.0, 0.0)


@torch.library.custom_op("medrecon::joseph", mutates_args=(), device_types="cpu")
def joseph(image: Tensor, views: Tensor, bins: Tensor, spacing: Sequence[float], detector: Sequence[float]) -> Tensor:
    """Line integrals `(batch, angle, detector)` of an image, by Joseph's method."""
    from medrecon.operators.kernels import joseph as cpu

    return _tensor(cpu.forward(_array(image), _array(views), _array(bins), _floats(spacing)))


@torch.library.custom_op("medrecon::joseph_adjoint", mutates_args=(), device_types="cpu")
def joseph_adjoint(
    sinogram: Tensor,
    views: Tensor,
    bins: Tensor,
    shape: Sequence[int],
    spacing: Sequence[float],
    detector: Sequence[float],
) -> Tensor:
    """The transpose of `joseph`: an image `(batch, *shape)`."""
    from medrecon.operators.kernels import joseph as cpu

    size = int(shape[0]), int(shape[1])
    return _tensor(cpu.adjoint(_array(sinogram), _array(views), _array(bins), size, _floats(spacing)))


@torch.library.custom_op("medrecon::backproject", mutates_args=(), device_types="cpu")
def backproject(
    sinogram: Tensor,
    views: Tensor,
    bins: Tensor,
    shape: Sequence[int],
    spacing: Sequence[float],
    detector: Sequence[float],
) -> Tensor:
    """Sums over views `(batch, *shape)` of what each pixel finds on the detector, interpolated linearly."""
    from medrecon.operators.kernels import interpolated as cpu

    size = int(shape[0]), int(shape[1])
    return _tensor(cpu.forward(_array(sinogram), _array(views), _array(bins), size, _floats(spacing), tuple(detector)))


@torch.library.custom_op("medrecon::backproject_adjoint", mutates_args=(), device_types="cpu")
def backproject_adjoint(
    image: Tensor, views: Tensor, bins: Tensor, spacing: Sequence[float], detector: Sequence[float]
) -> Tensor:
    """The transpose of `backproject`: a sinogram."""
    from medrecon.operators.kernels import interpolated as cpu

    return _tensor(cpu.adjoint(_array(image), _array(views), _array(bins), _floats(spacing), tuple(detector)))


@joseph.register_kernel("cuda")
def _(image: Tensor, views: Tensor, bins: Tensor, spacing: Sequence[float], detector: Sequence[float]) -> Tensor:
    from medrecon.operators.kernels import joseph_triton as cuda

    return cuda.forward(image, views.to(image.device), bins.to(image.device), _floats(spacing), detector)


@joseph_adjoint.register_kernel("cuda")
def _(
    sinogram: Tensor,
    views: Tensor,
    bins: Tensor,
    shape: Sequence[int],
    spacing: Sequence[float],
    detector: Sequence[float],
) -> Tensor:
    from medrecon.operators.kernels import joseph_triton as cuda

    device = sinogram.device
    return cuda.adjoint(sinogram, views.to(device), bins.to(device), shape, _floats(spacing), detector)


@backproject.register_kernel("cuda")
def _(
    sinogram: Tensor,
    views: Tensor,
    bins: Tensor,
    shape: Sequence[int],
    spacing: Sequence[float],
    detector: Sequence[float],
) -> Tensor:
    from medrecon.operators.kernels import interpolated_triton as cuda

    return cuda.forward(sinogram, views.to(sinogram.device), shape, _floats(spacing), detector)


@backproject_adjoint.register_kernel("cuda")
def _(image: Tensor, views: Tensor, bins: Tensor, spacing: Sequence[float], detector: Sequence[float]) -> Tensor:
    from medrecon.operators.kernels import interpolated_triton as cuda

    return cuda.adjoint(image, views.to(image.device), bins.shape[0], _floats(spacing), detector)


def _array(x: Tensor) -> Any:
    return x.detach().contiguous().numpy()


def _tensor(x: Any) -> Tensor:
    return torch.from_numpy(x)


def _floats(spacing: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(step) for step in spacing)


@joseph.register_fake
def _(image: Tensor, views: Tensor, bins: Tensor, spacing: Sequence[float], detector: Sequence[float]) -> Tensor:
    return image.new_empty((image.shape[0], views.shape[0], bins.shape[0]))


@joseph_adjoint.register_fake
def _(
    sinogram: Tensor,
    views: Tensor,
    bins: Tensor,
    shape: Sequence[int],
    spacing: Sequence[float],
    detector: Sequence[float],
) -> Tensor:
    return sinogram.new_empty((sinogram.shape[0], *shape))


@backproject.register_fake
def _(
    sinogram: Tensor,
    views: Tensor,
    bins: Tensor,
    shape: Sequence[int],
    spacing: Sequence[float],
    detector: Sequence[float],
) -> Tensor:
    return sinogram.new_empty((sinogram.shape[0], *shape))


@backproject_adjoint.register_fake
def _(image: Tensor, views: Tensor, bins: Tensor, spacing: Sequence[float], detector: Sequence[float]) -> Tensor:
    return image.new_empty((image.shape[0], views.shape[0], bins.shape[0]))


# The derivative of a linear map is its adjoint, whose derivative is the map again.


def _keep_joseph(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    image, ctx.views, ctx.bins, ctx.spacing, ctx.detector = inputs
    ctx.shape = list(image.shape[1:])


def _joseph_backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    image = joseph_adjoint(gradient, ctx.views, ctx.bins, ctx.shape, ctx.spacing, ctx.detector)
    return image, None, None, None, None


def _keep_joseph_adjoint(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, ctx.views, ctx.bins, _, ctx.spacing, ctx.detector = inputs


def _joseph_adjoint_backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    return joseph(gradient, ctx.views, ctx.bins, ctx.spacing, ctx.detector), None, None, None, None, None


def _keep_backproject(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, ctx.views, ctx.bins, _, ctx.spacing, ctx.detector = inputs


def _backproject_backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    sinogram = backproject_adjoint(gradient, ctx.views, ctx.bins, ctx.spacing, ctx.detector)
    return sinogram, None, None, None, None, None


def _keep_backproject_adjoint(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    image, ctx.views, ctx.bins, ctx.spacing, ctx.detector = inputs
    ctx.shape = list(image.shape[1:])


def _backproject_adjoint_backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    image = backproject(gradient, ctx.views, ctx.bins, ctx.shape, ctx.spacing, ctx.detector)
    return image, None, None, None, None


joseph.register_autograd(_joseph_backward, setup_context=_keep_joseph)
joseph_adjoint.register_autograd(_joseph_adjoint_backward, setup_context=_keep_joseph_adjoint)
backproject.register_autograd(_backproject_backward, setup_context=_keep_backproject)
backproject_adjoint.register_autograd(_backproject_adjoint_backward, setup_context=_keep_backproject_adjoint)

for _operation in (joseph, joseph_adjoint, backproject, backproject_adjoint):
    for _device in ("cpu", "cuda"):
        torch.library.register_autocast(_operation, _device, torch.float32)
