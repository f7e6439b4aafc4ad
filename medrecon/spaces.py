"""Spaces: the named axes, sizes and field of the tensors that an operator takes and gives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Space", "image_space", "kspace_space", "root_sum_of_squares"]

_NO_PLACES = ("coil", "set")
_IMAGE_AXES = {2: ("y", "x"), 3: ("z", "y", "x")}


@dataclass(frozen=True)
class Space:
    """The set of tensors `(..., *shape)` whose trailing axes carry names and whose leading axes are batch.

    >>> Space(("coil", "y", "x"), (3, 6, 5), is_complex=True)
    Space(axes=('coil', 'y', 'x'), shape=(3, 6, 5), is_complex=True)
    >>> print(Space(("y", "x"), (6, 5), is_complex=False))
    (..., y=6, x=5) real
    """

    axes: tuple[str, ...]
    shape: tuple[int, ...]
    is_complex: bool

    def __post_init__(self) -> None:
        if len(self.axes) != len(self.shape) or len(set(self.axes)) != len(self.axes):
            raise ValueError(f"Space takes one distinct name an axis, got axes {self.axes} for shape {self.shape}")
        if any(size < 1 for size in self.shape):
            raise ValueError(f"Space takes sizes of at least 1, got {self.shape}")

    def __str__(self) -> str:
        sizes = ", ".join(f"{axis}={size}" for axis, size in zip(self.axes, self.shape, strict=True))
        return f"(..., {sizes}) {'complex' if self.is_complex else 'real'}"

    @property
    def ndim(self) -> int:
        """Number of named axes (batch axes are not counted)."""
        return len(self.axes)

    @property
    def dims(self) -> tuple[int, ...]:
        """The named axes as negative dimensions of a tensor."""
        return tuple(range(-self.ndim, 0))

    @property
    def spatial_dims(self) -> tuple[int, ...]:
        """The dimensions along which neighbors are near each other: all but those of coils and of sets of coil maps."""
        return tuple(dim for dim in self.dims if self.axes[dim] not in _NO_PLACES)

    def dim(self, axis: str) -> int:
        """The negative dimension of the axis of that name."""
        if axis not in self.axes:
            raise ValueError(f"{self} has no axis {axis!r}")
        return self.axes.index(axis) - self.ndim

    def contains(self, x: Tensor) -> bool:
        """Whether `x` ends in this shape and has this field (any floating precision)."""
        field = x.is_complex() if self.is_complex else x.is_floating_point()
        return field and x.ndim >= self.ndim and tuple(x.shape[x.ndim - self.ndim :]) == self.shape

    def require(self, x: Tensor, who: str) -> None:
        """Refuse an `x` that is not of this space.

        Raises
        ------
        ValueError
            saying who takes what, and what was given.
        """
        if not self.contains(x):
            sizes = ", ".join(map(str, x.shape))
            field = "complex" if x.is_complex() else "real" if x.is_floating_point() else str(x.dtype)
            raise ValueError(f"{who} takes {self}, got ({sizes}) {field}")

    def batch_shape(self, x: Tensor) -> torch.Size:
        """The leading axes of `x`."""
        return x.shape[: x.ndim - self.ndim]

    def inner(self, x: Tensor, y: Tensor) -> Tensor:
        """The real inner product `Re <x, y>` of each batch element, of shape `batch`."""
        ndim = self.ndim
        if x.is_complex():
            x, y, ndim = torch.view_as_real(x.resolve_conj()), torch.view_as_real(y.resolve_conj()), ndim + 1
        product: Tensor = torch.linalg.vecdot(x.flatten(-ndim), y.flatten(-ndim))
        return product

    def norm(self, x: Tensor) -> Tensor:
        """The Euclidean norm of each batch element, of shape `batch`."""
        dims = self.dims
        if x.is_complex():  # torch reduces pairs of reals a hundred times faster than complex numbers
            x, dims = torch.view_as_real(x.resolve_conj()), tuple(range(-self.ndim - 1, 0))
        norm: Tensor = torch.linalg.vector_norm(x, dim=dims)
        return norm

    def expand(self, scalars: Tensor | float) -> Tensor | float:
        """Scalars of shape `batch`, with axes of size 1 appended so that they multiply elements of this space."""
        if isinstance(scalars, Tensor):
            return scalars.reshape(scalars.shape + (1,) * self.ndim)
        return scalars

    def random(
        self,
        batch: tuple[int, ...] = (),
        *,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Standard normal tensors `(*batch, *shape)`, on the generator's device; `dtype` is the real precision."""
        dtype = dtype.to_complex() if self.is_complex else dtype
        return torch.randn((*batch, *self.shape), generator=generator, dtype=dtype, device=generator.device)


def image_space(shape: tuple[int, ...]) -> Space:
    """The space of complex images `(..., y, x)` or volumes `(..., z, y, x)`."""
    return Space(_spatial_axes(shape), tuple(shape), is_complex=True)


def kspace_space(n_coils: int, shape: tuple[int, ...]) -> Space:
    """The space of multi-coil k-space `(..., coil, ky, kx)` or `(..., coil, kz, ky, kx)`."""
    axes = ("coil", *(f"k{axis}" for axis in _spatial_axes(shape)))
    return Space(axes, (n_coils, *shape), is_complex=True)


def root_sum_of_squares(images: Tensor, dim: int, *, keepdim: bool = False) -> Tensor:
    """`sqrt(sum |images|^2)` of complex images over the negative axis `dim`, real; its gradient is 0 where it vanishes.

    Through pairs of reals, which torch reduces many times faster than complex numbers.
    """
    squared = torch.view_as_real(images.resolve_conj()).square().sum((dim - 1, -1))
    black = squared == 0
    combined: Tensor = (squared + black).sqrt() * ~black
    return combined.unsqueeze(dim) if keepdim else combined


def _spatial_axes(shape: tuple[int, ...]) -> tuple[str, ...]:
    if len(shape) not in _IMAGE_AXES:
        raise ValueError(f"an image has 2 or 3 axes, got the shape {tuple(shape)}")
    return _IMAGE_AXES[len(shape)]
