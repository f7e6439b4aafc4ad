"""One line a public operator or functional gives it all of its contract tests.

Reconstructors have theirs in `tests/reconstructors/cases.py`, networks in `tests/networks/cases.py`;
`tests/contracts/test_completeness.py` walks the classes and asks for them.

A line is a builder: it takes the `Sizes` at which it is to be built, small ones in double precision or real ones in single.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.functionals import L1, Box, GroupL1, Proximable, SquaredDistance, UnitaryPrecomposition, Zero, conjugate
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam
from medrecon.operators import (
    Backprojection,
    CoilMaps,
    CoilMapSets,
    Convolution,
    Crop,
    DetectorFilter,
    Diagonal,
    Fourier,
    Gradient,
    Identity,
    LinearOperator,
    Mask,
    Radon,
    Roll,
    Wavelet,
    sense,
    soft_sense,
)
from medrecon.operators.differences import Laplacian
from medrecon.spaces import Space, image_space, kspace_space


@dataclass(frozen=True)
class Sizes:
    """The scale and precision of a case: sizes grow by an odd factor, so that odd stays odd and even even."""

    generator: torch.Generator
    dtype: torch.dtype = torch.float64
    factor: int = 1
    factor_3d: int = 1

    @classmethod
    def small(cls, dtype: torch.dtype = torch.float64) -> Sizes:
        return cls(torch.Generator().manual_seed(1), dtype)

    @classmethod
    def real(cls) -> Sizes:
        return cls(torch.Generator().manual_seed(2), torch.float32, factor=25, factor_3d=5)

    def __call__(self, *shape: int) -> tuple[int, ...]:
        factor = self.factor_3d if len(shape) == 3 else self.factor
        return tuple(size if size == 1 else factor * size for size in shape)

    def image(self, *shape: int) -> Space:
        return image_space(self(*shape))

    def kspace(self, *shape: int) -> Space:
        return kspace_space(2, self(*shape))

    def map_sets(self, *shape: int, batch: tuple[int, ...] = ()) -> Tensor:
        return self.complex_numbers(*shape, batch=(*batch, 3, 2))

    def images_of_sets(self, *shape: int) -> Space:
        image = self.image(*shape)
        return Space(("set", *image.axes), (3, *image.shape), is_complex=True)

    def coil_images(self, *shape: int) -> Space:
        image = self.image(*shape)
        return Space(("coil", *image.axes), (2, *image.shape), is_complex=True)

    def real_image(self, *shape: int) -> Space:
        image = self.image(*shape)
        return Space(image.axes, image.shape, is_complex=False)

    def sinogram(self, *shape: int) -> Space:
        return Space(("angle", "detector"), self(*shape), is_complex=False)

    def numbers(self, *shape: int, batch: tuple[int, ...] = ()) -> Tensor:
        return torch.randn((*batch, *self(*shape)), generator=self.generator, dtype=self.dtype)

    def complex_numbers(self, *shape: int, batch: tuple[int, ...] = ()) -> Tensor:
        return torch.randn((*batch, *self(*shape)), generator=self.generator, dtype=self.dtype.to_complex())

    def sampled(self, *shape: int, batch: tuple[int, ...] = ()) -> Tensor:
        sampled = torch.rand((*batch, *self(*shape)), generator=self.generator) < 0.6
        sampled[..., 0] = True
        sampled[..., -1] = False
        return sampled

    def maps(self, *shape: int, batch: tuple[int, ...] = ()) -> Tensor:
        return self.complex_numbers(*shape, batch=(*batch, 2))


SCANS: dict[str, Callable[[Sizes], tuple[Grid, Geometry]]] = {
    "half turn": lambda s: (Grid(s(6, 6), 1.0), ParallelBeam(Arc.half_turn(8), *s(9), spacing=1.0)),
    "half turn, odd": lambda s: (Grid(s(5, 5), 0.8), ParallelBeam(Arc(0.1, math.pi / 7, 7), *s(8), spacing=1.1)),
    "full turn, offset": lambda s: (Grid(s(4, 4), 2.0), ParallelBeam(Arc.full_turn(4), *s(7), spacing=1.7, offset=0.6)),
    "any views": lambda s: (Grid(s(6, 5), (1.0, 0.7)), ParallelBeam((0.3, 2.0, math.pi / 4), *s(6), spacing=0.9)),
    "fan, full turn": lambda s: (
        Grid(s(5, 5), 1.0),
        FanBeam(Arc.full_turn(8), *s(9), spacing=1.5, source_distance=20.0 * s.factor, detector_distance=9.0),
    ),
    "fan, curved, offset": lambda s: (
        Grid(s(5, 6), (1.0, 0.8)),
        FanBeam(Arc(0.2, 0.7, 5), *s(8), 1.5, 12.0 * s.factor, 12.0 * s.factor, curved=True, offset=0.4),
    ),
}

OPERATORS: dict[str, Callable[[Sizes], LinearOperator]] = {
    "identity": lambda s: Identity(s.image(6, 5)),
    "identity, real": lambda s: Identity(s.real_image(6, 5)),
    "diagonal, real": lambda s: Diagonal(s.numbers(6, 5), s.image(6, 5)),
    "diagonal, complex": lambda s: Diagonal(s.complex_numbers(6, 5), s.image(6, 5)),
    "diagonal, of a real space": lambda s: Diagonal(s.numbers(6, 5), s.real_image(6, 5)),
    "diagonal, one row": lambda s: Diagonal(s.complex_numbers(5), s.kspace(6, 5)),
    "diagonal, batch": lambda s: Diagonal(s.complex_numbers(6, 1, batch=(3,)), s.image(6, 5)),
    "mask, lines": lambda s: Mask(s.sampled(5), s.kspace(6, 5)),
    "mask, 2-D": lambda s: Mask(s.sampled(6, 5), s.kspace(6, 5)),
    "mask, of one coil": lambda s: Mask(s.sampled(6, 5), Fourier(s.image(6, 5)).range),
    "mask, 3-D, 2-D pattern": lambda s: Mask(s.sampled(1, 4, 5), s.kspace(3, 4, 5)),
    "mask, batch": lambda s: Mask(s.sampled(6, 5, batch=(3,)), s.kspace(6, 5)),
    "mask, batch of lines": lambda s: Mask(s.sampled(1, 5, batch=(3,)), s.kspace(6, 5)),
    "fourier, even odd": lambda s: Fourier(s.image(6, 5)),
    "fourier, odd even": lambda s: Fourier(s.image(7, 4)),
    "fourier, even even": lambda s: Fourier(s.image(4, 8)),
    "fourier, half-odd": lambda s: Fourier(s.image(6, 10)),
    "fourier, odd odd": lambda s: Fourier(s.image(3, 7)),
    "fourier, size 1": lambda s: Fourier(s.image(1, 5)),
    "fourier, coils": lambda s: Fourier(s.coil_images(6, 5)),
    "fourier, 3-D": lambda s: Fourier(s.image(3, 4, 5)),
    "fourier, y only": lambda s: Fourier(s.coil_images(6, 5), ("y",)),
    "fourier, y and z of 3": lambda s: Fourier(s.image(3, 4, 6), ("y", "z")),
    "coil maps": lambda s: CoilMaps(s.maps(6, 5)),
    "coil maps, 3-D": lambda s: CoilMaps(s.maps(3, 4, 5), ndim=3),
    "coil maps, batch": lambda s: CoilMaps(s.maps(6, 5, batch=(3,))),
    "coil map sets": lambda s: CoilMapSets(s.map_sets(6, 5)),
    "coil map sets, batch": lambda s: CoilMapSets(s.map_sets(6, 5, batch=(3,))),
    "gradient": lambda s: Gradient(s.image(6, 5)),
    "gradient, real": lambda s: Gradient(s.real_image(6, 5)),
    "gradient, 3-D": lambda s: Gradient(s.image(3, 4, 5)),
    "gradient, sets": lambda s: Gradient(s.images_of_sets(6, 5)),
    "gradient, one row": lambda s: Gradient(s.image(1, 5)),
    "laplacian": lambda s: Laplacian(s.image(6, 5)),
    "laplacian, real 3-D": lambda s: Laplacian(s.real_image(3, 4, 5)),
    "laplacian, sets": lambda s: Laplacian(s.images_of_sets(6, 5)),
    "roll": lambda s: Roll(s.image(6, 5), (2, -1)),
    "crop, to even": lambda s: Crop(s.image(7, 6), s(4, 2)),
    "crop, to odd": lambda s: Crop(s.real_image(7, 6), s(3, 5)),
    "crop, to itself": lambda s: Crop(s.image(6, 5), s(6, 5)),
    "wavelet, haar": lambda s: Wavelet(s.image(8, 12), "haar", 2),
    "wavelet, db2, real": lambda s: Wavelet(s.real_image(8, 16), "db2", 3),
    "wavelet, db4": lambda s: Wavelet(s.image(16, 8), "db4", 2),
    "wavelet, sym4, 3-D": lambda s: Wavelet(s.image(4, 4, 6), "sym4", 1),
    "wavelet, coif1, coils": lambda s: Wavelet(s.coil_images(4, 4), "coif1", 1),
    "wavelet, haar, sets": lambda s: Wavelet(s.images_of_sets(4, 8), "haar", 2),
    "wavelet, taps beyond the size": lambda s: Wavelet(s.image(4, 8), "db10", 2),
    "wavelet, blocks that do not divide, y": lambda s: Wavelet(s.real_image(72, 2), "db4", 1),
    "wavelet, blocks that do not divide, x": lambda s: Wavelet(s.image(2, 74), "db3", 1),
    "wavelet, blocks that divide": lambda s: Wavelet(s.real_image(2, 80), "haar", 1),
    "wavelet, long filters in blocks": lambda s: Wavelet(s.real_image(2, 102), "sym20", 1),
    "convolution": lambda s: Convolution(s.numbers(6, 5), s.image(6, 5)),
    "convolution, lines": lambda s: Convolution(s.numbers(1, 5).unsqueeze(0), s.coil_images(6, 5)),
    "convolution, none": lambda s: Convolution(s.numbers(1, 1), s.image(6, 5)),
    "convolution, batch": lambda s: Convolution(s.numbers(6, 5, batch=(3,)), s.image(6, 5)),
    "coil gram, lines": lambda s: sense(s.sampled(5), s.maps(6, 5)).gram,
    "coil gram, 2-D": lambda s: sense(s.sampled(6, 5), s.maps(6, 5)).gram,
    "coil gram, 3-D": lambda s: sense(s.sampled(3, 4, 1), s.maps(3, 4, 5), ndim=3).gram,
    "coil gram, batch": lambda s: sense(s.sampled(1, 5, batch=(3,)), s.maps(6, 5, batch=(3,))).gram,
    "coil map sets, gram of lines": lambda s: soft_sense(s.sampled(5), s.map_sets(6, 5)).gram,
    "coil map sets, gram of points": lambda s: soft_sense(s.sampled(6, 5), s.map_sets(6, 5)).gram,
    "coil map sets, gram of a batch": lambda s: (
        soft_sense(s.sampled(1, 5, batch=(3,)), s.map_sets(6, 5, batch=(3,))).gram
    ),
    **{f"radon, {name}": (lambda s, scan=scan: Radon(*scan(s))) for name, scan in SCANS.items()},
    **{f"backprojection, {name}": (lambda s, scan=scan: Backprojection(*scan(s))) for name, scan in SCANS.items()},
    "detector filter": lambda s: DetectorFilter(s.numbers(8), s.sinogram(3, 7)),
    "detector filter, extended": lambda s: DetectorFilter(s.numbers(10), s.sinogram(3, 7), 2, 3),
    "adjoint, detector filter": lambda s: DetectorFilter(s.numbers(9), s.sinogram(3, 7), 0, 2).H,
    "radon @ crop.H": lambda s: Radon(*SCANS["half turn"](s)) @ Crop(Radon(*SCANS["half turn"](s)).domain, s(3, 2)).H,
    "sense, lines": lambda s: sense(s.sampled(5), s.maps(6, 5)),
    "sense, 2-D mask": lambda s: sense(s.sampled(4, 8), s.maps(4, 8)),
    "sense, all sampled": lambda s: sense(s.sampled(5) | True, s.maps(6, 5)),
    "sense, 3-D": lambda s: sense(s.sampled(1, 4, 5), s.maps(3, 4, 5), ndim=3),
    "sense, batch of maps": lambda s: sense(s.sampled(5), s.maps(6, 5, batch=(3,))),
    "sense, batch of masks": lambda s: sense(s.sampled(6, 5, batch=(3,)), s.maps(6, 5)),
    "sense, batch of both": lambda s: sense(s.sampled(1, 5, batch=(3,)), s.maps(6, 5, batch=(3,))),
    "soft sense, lines": lambda s: soft_sense(s.sampled(5), s.map_sets(6, 5)),
    "soft sense, all sampled": lambda s: soft_sense(s.sampled(5) | True, s.map_sets(6, 5)),
    "soft sense, batch of maps": lambda s: soft_sense(s.sampled(5), s.map_sets(6, 5, batch=(3,))),
    "soft sense, batch of masks": lambda s: soft_sense(s.sampled(6, 5, batch=(3,)), s.map_sets(6, 5)),
    "soft sense, batch of both": lambda s: soft_sense(s.sampled(1, 5, batch=(3,)), s.map_sets(6, 5, batch=(3,))),
    "soft sense of a crop": lambda s: (
        soft_sense(s.sampled(5), s.map_sets(6, 5)) @ Crop(s.images_of_sets(8, 7), (3, *s(6, 5)))
    ),
    "masked fourier": lambda s: Mask(s.sampled(6, 5), Fourier(s.image(6, 5)).range) @ Fourier(s.image(6, 5)),
    "masked fourier, y only": lambda s: (
        Mask(s.sampled(6, 5), Fourier(s.coil_images(6, 5), ("y",)).range) @ Fourier(s.coil_images(6, 5), ("y",))
    ),
    "weighted fourier": lambda s: (
        Diagonal(s.complex_numbers(6, 5), Fourier(s.image(6, 5)).range)
        @ Fourier(s.image(6, 5))
        @ Diagonal(s.numbers(6, 5), s.image(6, 5))
    ),
    "sense of a crop": lambda s: sense(s.sampled(5), s.maps(6, 5)) @ Crop(s.image(8, 7), s(6, 5)),
    "padded sense": lambda s: sense(s.sampled(5), s.maps(6, 5)) @ Crop(s.image(6, 5), s(3, 2)).H,
    "shifted wavelet": lambda s: Wavelet(s.image(8, 4), "db2", 1) @ Roll(s.image(8, 4), (3, 1)),
    "roll @ adjoint of wavelet": lambda s: Roll(s.image(8, 4), (3, 1)) @ Wavelet(s.image(8, 4), "haar", 1).H,
    "gradient of a crop": lambda s: Gradient(s.image(4, 4)) @ Crop(s.image(6, 5), s(4, 4)),
    "identity @ diagonal @ identity": lambda s: (
        Identity(s.image(6, 5)) @ Diagonal(s.complex_numbers(6, 5), s.image(6, 5)) @ Identity(s.image(6, 5))
    ),
    "identity @ identity": lambda s: Identity(s.image(6, 5)) @ Identity(s.image(6, 5)),
    "mask @ multiple": lambda s: (
        Mask(s.sampled(5), s.kspace(6, 5)) @ (2j * Fourier(s.coil_images(6, 5))) @ CoilMaps(s.maps(6, 5))
    ),
    "sum": lambda s: Diagonal(s.numbers(6, 5), s.image(6, 5)) + Roll(s.image(6, 5), (1, 0)),
    "sum, identities": lambda s: Identity(s.real_image(6, 5)) + Identity(s.real_image(6, 5)),
    "sum, of grams": lambda s: sense(s.sampled(5), s.maps(6, 5)).gram + 0.3 * Gradient(s.image(6, 5)).gram,
    "difference": lambda s: Identity(s.image(6, 5)) - Roll(s.image(6, 5), (0, 1)),
    "difference of senses": lambda s: sense(s.sampled(5), s.maps(6, 5)) - sense(s.sampled(6, 5), s.maps(6, 5)),
    "multiple": lambda s: -2.5 * Gradient(s.real_image(6, 5)),
    "multiple, complex": lambda s: (1 - 2j) * Fourier(s.image(6, 5)),
    "multiple, whole": lambda s: 2 * sense(s.sampled(5), s.maps(6, 5)),
    "negative": lambda s: -Roll(s.image(6, 5), (1, 1)),
    "adjoint, fourier": lambda s: Fourier(s.image(6, 5)).H,
    "adjoint, gradient": lambda s: Gradient(s.real_image(6, 5)).H,
    "adjoint, crop": lambda s: Crop(s.image(7, 6), s(4, 3)).H,
    "adjoint, wavelet": lambda s: Wavelet(s.image(8, 4), "db4", 1).H,
    "adjoint, sense": lambda s: sense(s.sampled(5), s.maps(6, 5)).H,
    "adjoint, sum": lambda s: (Diagonal(s.complex_numbers(6, 5), s.image(6, 5)) + Roll(s.image(6, 5), (1, 0))).H,
    "adjoint, multiple": lambda s: ((1 - 2j) * Fourier(s.image(6, 5))).H,
}

NORM_IS_EXACT = {
    *("identity", "identity, real", "diagonal, real", "diagonal, complex", "diagonal, of a real space"),
    *("diagonal, one row", "diagonal, batch", "coil maps", "coil maps, 3-D", "coil maps, batch", "roll", "negative"),
    *(name for name in OPERATORS if name.startswith(("mask, ", "fourier, ", "crop, ", "wavelet, ", "convolution"))),
    *("shifted wavelet", "roll @ adjoint of wavelet", "identity @ diagonal @ identity", "identity @ identity"),
    *("sum, identities", "multiple, complex", "adjoint, fourier", "adjoint, crop", "adjoint, wavelet"),
    *("adjoint, multiple", "masked fourier", "masked fourier, y only", "sense, all sampled"),
}


@dataclass(frozen=True)
class FunctionalCase:
    """A functional and its value, written out; `batched` where it holds one weight or center a batch element."""

    f: Proximable
    value: Callable[[Tensor], Tensor]
    batched: bool = False


def _functional(f: L1 | GroupL1 | Box | SquaredDistance | Zero, *, batched: bool = False) -> FunctionalCase:
    return FunctionalCase(f, f, batched)


_IMAGE, _REAL = Sizes.small().image(6, 5), Sizes.small().real_image(6, 5)
_FIELD, _REAL_FIELD = Gradient(_IMAGE).range, Gradient(_REAL).range
_WAVELET = Wavelet(Sizes.small().image(8, 4), "db2", 1)
_WEIGHTS = torch.tensor([0.1, 0.5, 1.5], dtype=torch.float64)


def _rotated() -> FunctionalCase:
    f = L1(_WAVELET.range, 0.4)
    return FunctionalCase(UnitaryPrecomposition(f, _WAVELET), lambda x: f(_WAVELET(x)))


def _dual_ball(f: L1 | GroupL1, modulus: Callable[[Tensor], Tensor], weight: float) -> FunctionalCase:
    """The conjugate of a norm: 0 in the ball of the dual norm, infinite outside."""

    def value(x: Tensor) -> Tensor:
        inside = modulus(x).flatten(-2).amax(-1) <= weight * (1 + 1e-9)
        return torch.where(inside, 0.0, math.inf).to(torch.float64)

    return FunctionalCase(conjugate(f), value)


FUNCTIONALS: dict[str, Callable[[], FunctionalCase]] = {
    "zero": lambda: _functional(Zero(_IMAGE)),
    "L1": lambda: _functional(L1(_IMAGE, 0.4)),
    "L1, real": lambda: _functional(L1(_REAL, 0.4)),
    "L1, weight a batch element": lambda: _functional(L1(_IMAGE, _WEIGHTS), batched=True),
    "group L1": lambda: _functional(GroupL1(_FIELD, 0.6)),
    "group L1, real": lambda: _functional(GroupL1(_REAL_FIELD, 0.6)),
    "group L1, over coils": lambda: _functional(GroupL1(Sizes.small().coil_images(6, 5), 0.6, "coil")),
    "group L1, weight a batch element": lambda: _functional(GroupL1(_FIELD, _WEIGHTS), batched=True),
    "box": lambda: _functional(Box(_REAL, -0.3, 0.7)),
    "squared distance": lambda: _functional(
        SquaredDistance(_IMAGE, _IMAGE.random(generator=torch.Generator().manual_seed(3), dtype=torch.float64), 0.8)
    ),
    "squared distance, weight a batch element": lambda: _functional(
        SquaredDistance(
            _IMAGE, _IMAGE.random((3,), generator=torch.Generator().manual_seed(3), dtype=torch.float64), _WEIGHTS
        ),
        batched=True,
    ),
    "rotated by a wavelet": _rotated,
    "conjugate of L1": lambda: _dual_ball(L1(_IMAGE, 0.4), torch.abs, 0.4),
    "conjugate of group L1": lambda: _dual_ball(
        GroupL1(_FIELD, 0.6), lambda x: torch.linalg.vector_norm(x, dim=-3), 0.6
    ),
}
