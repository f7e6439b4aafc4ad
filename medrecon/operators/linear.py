"""The algebra of linear operators: compositions, sums, multiples and adjoints, written once.

A concrete operator is a frozen dataclass that holds tensors and writes two maps, `_forward` and `_adjoint`. What it knows in
closed form (its gram, what becomes of it between two others, its norm) it says in the hooks below; this module knows no child.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from numbers import Number, Real
from operator import is_
from typing import Any, Self, TypeVar, final

import torch
from torch import Tensor

from medrecon.spaces import Space

__all__ = ["Adjoint", "Composition", "Identity", "LinearOperator", "Scaled", "Sum", "factor_of"]

Found = TypeVar("Found", bound="LinearOperator")


class LinearOperator(ABC):
    """A linear map from `domain` to `range`; `A(x)` applies it, `A.H(y)` its adjoint, over any leading batch axes.

    The adjoint is that of the real inner product `Re <x, y>`, the one autograd uses: the backward of `A` is `A.H`.
    """

    @property
    @abstractmethod
    def domain(self) -> Space:
        """The space that the operator takes."""

    @property
    @abstractmethod
    def range(self) -> Space:
        """The space that the operator gives."""

    @abstractmethod
    def _forward(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def _adjoint(self, y: Tensor) -> Tensor: ...

    @property
    def factors(self) -> tuple[LinearOperator, ...]:
        """The operators of which this one is the composition, outermost first."""
        return (self,)

    # What a child may know in closed form. What these give is kept, so it holds no product of tensors to which gradients flow:
    # a product belongs to the graph, and to the grad mode, of one call.

    def _gram(self) -> LinearOperator:
        """`A.H @ A`."""
        return compose(self.H, self)

    def _congruence(self, inner: LinearOperator) -> LinearOperator:
        """`A.H @ inner @ A`, for an `inner` from the range of `A` to itself."""
        return self.gram if isinstance(inner, Identity) else compose(self.H, inner, self)

    def _parts(self) -> tuple[LinearOperator, ...]:
        """What a composition runs in place of `A`, outermost first: finer factors, which may merge with their neighbors."""
        return (self,)

    def _absorb(self, outer: LinearOperator) -> LinearOperator | None:
        """`outer @ A` as one operator that costs no more than `A`, or None where there is none."""
        del outer
        return None

    def _norm_bound(self) -> float | None:
        """An upper bound of the operator norm, or None where only an iteration can tell."""
        return None

    def _tensor_ndim(self) -> int | None:
        """How many trailing axes of the tensors in the fields are no batch, or None where these tensors hold none (see `stack`)."""
        return None

    def _separable(self) -> Tensor | None:
        """Which measurements may be left out, each alone: bool `(..., n)`, or None where none can (see `restricted`)."""
        return None

    def _restricted(self, y: Tensor, kept: Tensor) -> tuple[Tensor, LinearOperator]:
        """Of `y` and this operator the measurements that are `kept`, bool as `_separable`."""
        raise NotImplementedError

    # The algebra.

    @final
    def __call__(self, x: Tensor, /) -> Tensor:
        """Apply the operator to `x`, of shape `(..., *domain.shape)`.

        Raises
        ------
        ValueError
            if `x` is not of the domain.
        """
        self.domain.require(x, type(self).__name__)
        return self._forward(x)

    @property
    def H(self) -> LinearOperator:
        """The adjoint; `A.H.H` is `A`."""
        return Adjoint(self)

    @final
    @cached_property
    def gram(self) -> LinearOperator:
        """`A.H @ A`, in closed form where there is one."""
        with torch.inference_mode(False):  # what is kept may meet a gradient later
            return self._gram()

    @final
    @cached_property
    def norm_bound(self) -> float | None:
        """An upper bound of the operator norm where the factors know theirs, else None (see `operator_norm`)."""
        return self._norm_bound()

    @final
    @cached_property
    def separable(self) -> Tensor | None:
        """Which measurements may be left out of a scan: bool `(..., n)`, lines, points or views; None where none can."""
        return self._separable()

    @final
    def restricted(self, y: Tensor, kept: Tensor) -> tuple[Tensor, LinearOperator]:
        """The scan `y = A x` as if only what is `kept` had been measured, bool as `separable`: its measurements and operator.

        Raises
        ------
        ValueError
            if nothing can be left out.
        """
        if self.separable is None:
            raise ValueError(f"{self} measures nothing that can be left out; take one that ends in a Mask or a Radon")
        return self._restricted(y, kept)

    @final
    def __matmul__(self, inner: LinearOperator) -> LinearOperator:
        if not isinstance(inner, LinearOperator):
            return NotImplemented
        return compose(self, inner)

    @final
    def __add__(self, other: LinearOperator) -> LinearOperator:
        if not isinstance(other, LinearOperator):
            return NotImplemented
        return Sum((self, other))

    @final
    def __sub__(self, other: LinearOperator) -> LinearOperator:
        return self + (-1.0) * other

    @final
    def __rmul__(self, scalar: complex) -> LinearOperator:
        return Scaled(scalar, self)

    @final
    def __neg__(self) -> LinearOperator:
        return Scaled(-1.0, self)

    @final
    def to(self, device: torch.device | str) -> Self:
        """The same operator with all of its tensors on `device`: this very one where they all are there already."""
        return _moved(self, device)  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return " @ ".join(type(factor).__name__ for factor in self.factors)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={_shown(field)}" for name, field in fields_of(self).items())
        return f"{type(self).__name__}({fields})"

    def __getstate__(self) -> dict[str, Any]:
        return fields_of(self)  # without what is kept from call to call


def fields_of(A: LinearOperator) -> dict[str, Any]:
    """What the value is made of, by name."""
    return {field.name: getattr(A, field.name) for field in dataclasses.fields(A)}  # type: ignore[arg-type]


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        sizes = ", ".join(map(str, value.shape))
        return f"<({sizes}) {str(value.dtype).removeprefix('torch.')} on {value.device}>"
    if isinstance(value, Space):
        return f"<{value}>"
    return repr(value)


def _moved(value: Any, device: torch.device | str) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple):
        items = tuple(_moved(item, device) for item in value)
        return value if all(map(is_, items, value)) else items
    if isinstance(value, LinearOperator):
        old = fields_of(value)
        new = {name: _moved(field, device) for name, field in old.items()}
        return value if all(new[name] is old[name] for name in old) else dataclasses.replace(value, **new)  # type: ignore[type-var]
    return value


@final
@dataclass(frozen=True, eq=False, repr=False)
class Identity(LinearOperator):
    """`x -> x`."""

    space: Space

    @property
    def domain(self) -> Space:
        return self.space

    @property
    def range(self) -> Space:
        return self.space

    def _forward(self, x: Tensor) -> Tensor:
        return x

    def _adjoint(self, y: Tensor) -> Tensor:
        return y

    @property
    def H(self) -> LinearOperator:
        return self

    def _gram(self) -> LinearOperator:
        return self

    def _congruence(self, inner: LinearOperator) -> LinearOperator:
        return inner

    def _parts(self) -> tuple[LinearOperator, ...]:
        return ()

    def _norm_bound(self) -> float | None:
        return 1.0


@final
@dataclass(frozen=True, eq=False, repr=False)
class Adjoint(LinearOperator):
    """`A.H`."""

    operator: LinearOperator

    @property
    def domain(self) -> Space:
        return self.operator.range

    @property
    def range(self) -> Space:
        return self.operator.domain

    def _forward(self, x: Tensor) -> Tensor:
        return self.operator._adjoint(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.operator._forward(y)

    @property
    def H(self) -> LinearOperator:
        return self.operator

    def _norm_bound(self) -> float | None:
        return self.operator.norm_bound


@final
@dataclass(frozen=True, eq=False, repr=False)
class Composition(LinearOperator):
    """`operators[0] @ operators[1] @ ...`: made by `@`, which checks that the spaces meet.

    The factors stay what they were; what is run is their parts, neighbors merged where they know how: the centering signs of a
    Fourier transform end up in the mask and the coil maps, and cost nothing.
    """

    operators: tuple[LinearOperator, ...]

    def __post_init__(self) -> None:
        for outer, inner in pairwise(self.operators):
            if outer.domain != inner.range:
                raise ValueError(
                    f"{type(outer).__name__} @ {type(inner).__name__}: the left operator takes {outer.domain}, "
                    f"but the right one gives {inner.range}"
                )

    @property
    def domain(self) -> Space:
        return self.factors[-1].domain

    @property
    def range(self) -> Space:
        return self.factors[0].range

    @property
    def factors(self) -> tuple[LinearOperator, ...]:
        return self.operators

    @cached_property
    def _program(self) -> tuple[LinearOperator, ...]:
        program: list[LinearOperator] = []
        with torch.inference_mode(False):  # what is kept may meet a gradient later
            for part in (part for factor in self.factors for part in factor._parts()):
                merged = part._absorb(program[-1]) if program else None
                if merged is None:
                    program.append(part)
                else:
                    program[-1] = merged
        return tuple(program)

    def _forward(self, x: Tensor) -> Tensor:
        for part in reversed(self._program):
            x = part._forward(x)
        return x

    def _adjoint(self, y: Tensor) -> Tensor:
        for part in self._program:
            y = part._adjoint(y)
        return y

    def _gram(self) -> LinearOperator:
        gram = self.factors[0].gram
        for factor in self.factors[1:]:
            gram = factor._congruence(gram)
        return gram

    def _congruence(self, inner: LinearOperator) -> LinearOperator:
        for factor in self.factors:
            inner = factor._congruence(inner)
        return inner

    def _parts(self) -> tuple[LinearOperator, ...]:
        return self._program

    def _separable(self) -> Tensor | None:
        return self.factors[0].separable

    def _restricted(self, y: Tensor, kept: Tensor) -> tuple[Tensor, LinearOperator]:
        less, outer = self.factors[0].restricted(y, kept)
        return less, compose(outer, *self.factors[1:])

    def _norm_bound(self) -> float | None:
        bound = 1.0
        for factor in self.factors:
            if factor.norm_bound is None:
                return None
            bound *= factor.norm_bound
        return bound


def compose(*operators: LinearOperator) -> LinearOperator:
    """The composition of `operators`, outermost first, with nested compositions laid flat."""
    factors = tuple(factor for A in operators for factor in A.factors)
    return factors[0] if len(factors) == 1 else Composition(factors)


@final
@dataclass(frozen=True, eq=False, repr=False)
class Sum(LinearOperator):
    """`terms[0] + terms[1] + ...`, of operators between the same two spaces."""

    terms: tuple[LinearOperator, ...]

    def __post_init__(self) -> None:
        first = self.terms[0]
        for term in self.terms[1:]:
            if (term.domain, term.range) != (first.domain, first.range):
                raise ValueError(
                    f"{type(first).__name__} + {type(term).__name__}: the left operator maps {first.domain} to "
                    f"{first.range}, the right one {term.domain} to {term.range}"
                )

    @property
    def domain(self) -> Space:
        return self.terms[0].domain

    @property
    def range(self) -> Space:
        return self.terms[0].range

    def _forward(self, x: Tensor) -> Tensor:
        return sum((term._forward(x) for term in self.terms[1:]), start=self.terms[0]._forward(x))

    def _adjoint(self, y: Tensor) -> Tensor:
        return sum((term._adjoint(y) for term in self.terms[1:]), start=self.terms[0]._adjoint(y))

    def _norm_bound(self) -> float | None:
        bounds = [term.norm_bound for term in self.terms]
        return None if None in bounds else sum(bound for bound in bounds if bound is not None)


@final
@dataclass(frozen=True, eq=False, repr=False)
class Scaled(LinearOperator):
    """`scalar * operator`, a multiple: made by `*` with a number on the left.

    Raises
    ------
    ValueError
        if the scalar is no number, or complex and the spaces are not.
    """

    scalar: complex
    operator: LinearOperator

    def __post_init__(self) -> None:
        scalar: object = self.scalar
        if not isinstance(scalar, Number):
            raise ValueError(
                f"Scaled takes a number, got {_shown(scalar)}: for a tensor of factors compose with a Diagonal"
            )
        if not isinstance(scalar, Real) and not (self.domain.is_complex and self.range.is_complex):
            raise ValueError(f"a complex multiple needs complex spaces, got {self.domain} to {self.range}")

    @property
    def domain(self) -> Space:
        return self.operator.domain

    @property
    def range(self) -> Space:
        return self.operator.range

    def _forward(self, x: Tensor) -> Tensor:
        return self.scalar * self.operator._forward(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.scalar.conjugate() * self.operator._adjoint(y)

    def _gram(self) -> LinearOperator:
        return Scaled(abs(self.scalar) ** 2, self.operator.gram)

    def _norm_bound(self) -> float | None:
        bound = self.operator.norm_bound
        return None if bound is None else abs(self.scalar) * bound


def factor_of(A: LinearOperator, kind: type[Found], who: str) -> Found:
    """The one factor of `A` of that kind, for a method that needs more than the algebra.

    Raises
    ------
    ValueError
        if `A` has none or several.
    """
    found = [factor for factor in A.factors if isinstance(factor, kind)]
    if len(found) != 1:
        raise ValueError(f"{who} needs an operator with one {kind.__name__} in it, got {A}")
    return found[0]
