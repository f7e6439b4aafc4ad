"""What every operator promises, tried on each line of the catalogue."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor

from medrecon.operators import Adjoint, Diagonal, Identity, LinearOperator, operator_norm, stack
from medrecon.spaces import Space
from tests.catalogue import NORM_IS_EXACT, OPERATORS, Sizes
from tests.contracts.anatomy import assert_close, batch_held, dense, parts, tensors, variables, with_tensors

every_operator = pytest.mark.parametrize("name", OPERATORS)


def small(name: str) -> LinearOperator:
    return OPERATORS[name](Sizes.small())


def double(space: Space, batch: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return space.random(batch, generator=generator, dtype=torch.float64)


@every_operator
def test_matrix_of_the_adjoint_is_the_conjugate_transpose(name: str) -> None:
    A = small(name)
    assert_close(dense(A.H), dense(A).mT)


@every_operator
def test_linear_over_its_field(name: str, generator: torch.Generator) -> None:
    A = small(name)
    x, z = double(A.domain, (), generator), double(A.domain, (), generator)
    scalar = 0.6 - 1.2j if A.domain.is_complex else -1.7
    assert_close(A(scalar * x + z), scalar * A(x) + A(z))


@every_operator
def test_dot_product_identity_at_real_sizes(name: str, generator: torch.Generator) -> None:
    A = OPERATORS[name](Sizes.real())
    batch = tuple(A.range.batch_shape(A(A.domain.random(generator=generator))))
    x, y = A.domain.random(batch, generator=generator), A.range.random(batch, generator=generator)
    Ax, AHy = A(x), A.H(y)
    assert Ax.dtype == y.dtype
    assert AHy.dtype == x.dtype
    difference = (A.range.inner(Ax, y) - A.domain.inner(x, AHy)).abs()
    assert bool((difference <= 1e-5 * A.range.norm(Ax) * A.range.norm(y)).all())


@every_operator
def test_adjoint_of_the_adjoint_is_the_operator(name: str) -> None:
    A = small(name)
    B = A.H if isinstance(A, Adjoint) else A  # an adjoint is made anew at each call
    assert B.H.H is B
    assert (A.H.domain, A.H.range) == (A.range, A.domain)


@every_operator
@pytest.mark.parametrize("mode", ["grad", "no_grad", "x requires grad", "tensors require grad"])
def test_gram_is_adjoint_after_forward(name: str, mode: str, generator: torch.Generator) -> None:
    A = small(name)
    tolerance = 1e-10 if "wavelet" in name else 1e-12  # PyWavelets' taps are orthogonal to about that
    if mode == "tensors require grad":
        A = with_tensors(A, iter(variables(A)))
    for operator in (A, A.H):
        gram = operator.gram
        assert gram.domain == gram.range == operator.domain
        for batch in ((), batch_held(A), (2, *batch_held(A))):
            x = double(operator.domain, batch, generator).requires_grad_(mode == "x requires grad")
            with torch.set_grad_enabled(mode != "no_grad"):
                assert_close(gram(x), operator.H(operator(x)), tolerance)
                assert_close(gram.H(x), operator.H(operator(x)), tolerance)


@every_operator
def test_backward_is_the_adjoint(name: str, generator: torch.Generator) -> None:
    A = small(name)
    for operator in (A, A.H, A.gram):
        batch = batch_held(operator)
        x = double(operator.domain, batch, generator).requires_grad_()
        y = double(operator.range, batch, generator)
        (gradient,) = torch.autograd.grad(operator(x), x, y)
        assert_close(gradient, operator.H(y))


@every_operator
@pytest.mark.parametrize("which", ["forward", "adjoint", "gram"])
def test_first_and_second_gradients(name: str, which: str, generator: torch.Generator) -> None:
    A = small(name)
    held = variables(A)

    def apply(x: Tensor, *values: Tensor) -> Tensor:
        B = with_tensors(A, iter(values))
        return {"forward": B, "adjoint": B.H, "gram": B.gram}[which](x)

    space = A.range if which == "adjoint" else A.domain
    x = double(space, (), generator).requires_grad_()
    assert torch.autograd.gradcheck(apply, (x, *held), fast_mode=True)
    assert torch.autograd.gradgradcheck(apply, (x, *held), fast_mode=True)


@every_operator
def test_gradients_do_not_depend_on_earlier_calls(name: str, generator: torch.Generator) -> None:
    A = small(name)
    held = variables(A)
    A = with_tensors(A, iter(held))
    x = double(A.domain, (), generator).requires_grad_()

    def gradients() -> tuple[Tensor, ...]:
        loss = A(x).abs().square().sum() + A.gram(x).abs().square().sum() + A.H(A(x)).abs().sum()
        return torch.autograd.grad(loss, (x, *held))

    with torch.inference_mode():
        A.H(A(x.detach().clone())), A.gram(x.detach().clone())
    with torch.no_grad():
        A.H(A(x)), A.gram(x)
    first = gradients()
    fresh = with_tensors(A, iter(held))
    A, used = fresh, A
    for got, want in zip(first, gradients(), strict=True):
        assert_close(got, want)
    A = used  # and a second time through the same operator
    for got, want in zip(first, gradients(), strict=True):
        assert_close(got, want)


@every_operator
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_trains_after_inference_mode(name: str, dtype: torch.dtype, generator: torch.Generator) -> None:
    """What is kept from a call in inference mode serves a later call that records a graph."""
    A = OPERATORS[name](Sizes.small(dtype))
    for operator in (A, A.H, A.gram):
        x = operator.domain.random(generator=generator, dtype=dtype)
        with torch.inference_mode():
            want = operator(x).clone()
        x.requires_grad_()
        got = operator(x)
        torch.autograd.grad(got.abs().sum(), x)
        assert_close(got, want.clone(), 1e-6)


@every_operator
def test_sees_a_training_step_on_its_tensors(name: str, generator: torch.Generator) -> None:
    A = small(name)
    held = variables(A)
    if not held:
        pytest.skip("holds no tensor that can be trained")
    A = with_tensors(A, iter(held))
    x = double(A.domain, (), generator)
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            A.H(A(x)), A.gram(x)
    with torch.no_grad():
        for value in held:
            value.mul_(1.5)
        fresh = with_tensors(A, iter(held))
        assert_close(A.H(A(x)), fresh.H(fresh(x)))
        assert_close(A.gram(x), fresh.gram(x))


@every_operator
def test_batch_equals_loop(name: str, generator: torch.Generator) -> None:
    A = small(name)
    held = batch_held(A)
    for operator in (A, A.H, A.gram):
        x = double(operator.domain, (2, 2, *held), generator)
        batch = operator(x)
        for i in range(2):
            for j in range(2):
                assert_close(batch[i, j], operator(x[i, j]))
        for k in range(held[0] if held else 0):
            assert_close(batch[0, 0, k], operator(x[0, 0, k])[k])


def assert_is_the_loop(stacked: LinearOperator, *alone: LinearOperator, generator: torch.Generator) -> None:
    held = batch_held(alone[0])
    for together, each in (
        (stacked, alone),
        (stacked.H, [A.H for A in alone]),
        (stacked.gram, [A.gram for A in alone]),
    ):
        x = double(together.domain, (len(alone), *held), generator)
        assert_close(together(x), torch.stack([A(part) for A, part in zip(each, x, strict=True)]))


@every_operator
def test_stack_of_equals_is_the_first_of_them(name: str, generator: torch.Generator) -> None:
    A, B = small(name), small(name)
    assert stack([A, B]) is A
    assert_is_the_loop(A, A, B, generator=generator)


@every_operator
def test_stack_is_the_loop_or_refused(name: str, generator: torch.Generator) -> None:
    sizes = Sizes.small()
    A, B = OPERATORS[name](sizes), OPERATORS[name](sizes)  # of other random numbers
    if batch_held(A) or "detector filter" in name:
        with pytest.raises(ValueError, match=r"stack takes operators that .*, got .*; take batch_size 1"):
            stack([A, B])
    else:
        assert_is_the_loop(stack([A, B]), A, B, generator=generator)


@every_operator
def test_moves_with_its_tensors(name: str, generator: torch.Generator) -> None:
    A = small(name)
    x = double(A.domain, (), generator)
    want = A(x)
    on_meta, on_cpu = A.to("meta"), A.to("cpu")
    assert type(on_meta) is type(A)
    assert (on_meta.domain, on_meta.range) == (A.domain, A.range)
    assert all(tensor.device.type == "meta" for tensor in tensors(on_meta))
    assert all(tensor.device.type == "cpu" for tensor in tensors(A))
    assert len(list(tensors(on_meta))) == len(list(tensors(A)))
    assert_close(on_cpu(x), want)
    assert on_cpu is A


@every_operator
def test_pickle_round_trip(name: str, generator: torch.Generator) -> None:
    A = small(name)
    x = double(A.domain, (), generator)
    before = pickle.dumps(A)
    want, _ = A(x), A.gram(x)
    after = pickle.dumps(A)
    assert len(after) == len(before), "what is kept from call to call does not travel"
    B = pickle.loads(after)
    assert (B.domain, B.range) == (A.domain, A.range)
    assert_close(B(x), want, 0.0)


@every_operator
def test_repr_is_short_and_names_the_operator(name: str) -> None:
    A = small(name)
    text = repr(A)
    assert len(text) < max(300, 75 * len(list(parts(A))))
    assert "\n" not in text
    for part in parts(A):
        assert type(part).__name__ in text


@every_operator
def test_refuses_another_space_in_words(name: str, generator: torch.Generator) -> None:
    A = small(name)
    for operator in (A, A.H):
        x = double(operator.domain, (), generator)
        longer = torch.cat([x, x], -1)
        deeper = torch.cat([x.unsqueeze(0)] * 2, 1) if x.ndim > 1 else longer.unsqueeze(0)
        other_field = x.real.clone() if x.is_complex() else x.to(torch.complex128)
        for wrong in (longer, deeper, x[0], other_field, torch.zeros(operator.domain.shape, dtype=torch.int64)):
            with pytest.raises(ValueError, match="takes") as refusal:
                operator(wrong)
            text = str(refusal.value)
            assert type(operator).__name__ in text
            assert str(operator.domain) in text
            assert f"got ({', '.join(map(str, wrong.shape))})" in text


@every_operator
def test_refuses_to_compose_with_what_does_not_meet(name: str) -> None:
    A = small(name)
    alien = Identity(Space(("time",), (17,), is_complex=True))
    for build, mine in ((lambda: A @ alien, A.domain), (lambda: alien @ A, A.range), (lambda: A + alien, A.domain)):
        with pytest.raises(ValueError, match="Identity") as refusal:
            build()
        assert str(mine) in str(refusal.value)
        assert str(alien.domain) in str(refusal.value)


@every_operator
def test_alters_neither_its_tensors_nor_its_argument(name: str, generator: torch.Generator) -> None:
    A = small(name)
    before = [tensor.clone() for tensor in tensors(A)]
    for operator in (A, A.H, A.gram, A.H.gram):
        for batch in ((), batch_held(A)):
            x = double(operator.domain, batch, generator)
            copy = x.clone()
            operator(x)
            assert torch.equal(x, copy)
    assert all(torch.equal(a, b) for a, b in zip(tensors(A), before, strict=True))


@every_operator
def test_norm_bound(name: str) -> None:
    A = small(name)
    for operator, exponent in ((A, 1), (A.H, 1), (A.gram, 2)):
        bound = operator.norm_bound
        norm = float(torch.linalg.matrix_norm(dense(operator), 2).max())
        assert bound is not None
        assert bound >= norm * (1 - 1e-7)  # masks and signs are kept in single precision
        if name in NORM_IS_EXACT:
            assert bound == pytest.approx(norm, rel=1e-6)
        assert norm == pytest.approx(float(torch.linalg.matrix_norm(dense(A), 2).max()) ** exponent, rel=1e-9)


@every_operator
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_keeps_the_precision(name: str, dtype: torch.dtype, generator: torch.Generator) -> None:
    A = OPERATORS[name](Sizes.small(dtype))
    for operator in (A, A.H, A.gram):
        for needs_grad in (False, True):
            x = operator.domain.random(generator=generator, dtype=dtype).requires_grad_(needs_grad)
            assert operator(x).dtype == (dtype.to_complex() if operator.range.is_complex else dtype)


@every_operator
def test_takes_views_and_lazy_conjugates(name: str, generator: torch.Generator) -> None:
    A = small(name)
    for operator in (A, A.H, A.gram):
        x = double(operator.domain, (2, *batch_held(A)), generator)
        assert_close(operator(x.mT.contiguous().mT), operator(x))
        assert_close(operator(x[:1].expand(2, *x.shape[1:])), operator(x[[0, 0]]))
        assert_close(operator(x.conj()), operator(x.conj().resolve_conj().clone()))


def test_operator_norm_against_svd(generator: torch.Generator) -> None:
    for name in ("sense, lines", "sense, batch of both", "gradient", "diagonal, complex", "difference of senses"):
        A = small(name)
        norm = float(torch.linalg.matrix_norm(dense(A), 2).max())
        assert operator_norm(A, iterations=2000, tolerance=1e-9) == pytest.approx(norm, rel=1e-4)
        assert operator_norm(A, generator=generator) <= norm * (1 + 1e-6)


def test_operator_norm_of_zero() -> None:
    assert operator_norm(0.0 * Identity(Space(("x",), (4,), is_complex=False))) == 0


def test_no_operator_is_applied_with_matmul_or_times(generator: torch.Generator) -> None:
    A = small("sense, lines")
    x = double(A.domain, (), generator)
    for build in (lambda: A @ x, lambda: A * x, lambda: A + x, lambda: A - 1.0):
        with pytest.raises(TypeError):
            build()
    with pytest.raises(ValueError, match="Diagonal"):
        torch.tensor(2.0) * A
    with pytest.raises(ValueError, match="complex spaces"):
        1j * small("gradient, real")


def test_diagonal_in_the_precision_of_its_argument(generator: torch.Generator) -> None:
    A = Diagonal(torch.ones(5, dtype=torch.complex128), Space(("x",), (5,), is_complex=True))
    assert A(A.domain.random(generator=generator)).dtype == torch.complex64
