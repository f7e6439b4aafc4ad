"""The algorithms as their papers write them, in numpy, for one vector and dense matrices: yields iterates."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

Vector = np.ndarray
Prox = Callable[[Vector, float], Vector]


def soft(weight: float) -> Prox:
    def prox(x: Vector, step: float) -> Vector:
        modulus = np.abs(x)
        return x * np.maximum(1 - weight * step / np.where(modulus > 0, modulus, 1), 0)

    return prox


def nothing(x: Vector, step: float) -> Vector:
    del step
    return x


def conjugate_gradient(N: np.ndarray, b: Vector, x: Vector) -> Iterator[Vector]:
    r = b - N @ x
    p = r
    while True:
        alpha = np.vdot(r, r) / np.vdot(p, N @ p)
        x = x + alpha * p
        smaller = r - alpha * (N @ p)
        p = smaller + np.vdot(smaller, smaller) / np.vdot(r, r) * p
        r = smaller
        yield x


def proximal_gradient(A: np.ndarray, y: Vector, g: Prox, x: Vector, step: float) -> Iterator[Vector]:
    while True:
        x = g(x - step * A.conj().T @ (A @ x - y), step)
        yield x


def fista(
    A: np.ndarray, y: Vector, schedule: Iterator[Prox], x: Vector, step: float, *, restart: bool = True
) -> Iterator[Vector]:
    t, z = 1.0, x
    for g in schedule:
        new = g(z - step * A.conj().T @ (A @ z - y), step)
        if restart and np.vdot(z - new, new - x).real > 0:
            t = 1.0
        following = (1 + np.sqrt(1 + 4 * t**2)) / 2
        z = new + (t - 1) / following * (new - x)
        x, t = new, following
        yield x


def primal_dual(
    gradient: Callable[[Vector], Vector],
    g: Prox,
    f_conjugate: Prox,
    K: np.ndarray,
    x: Vector,
    tau: float,
    sigma: float,
) -> Iterator[Vector]:
    p = np.zeros_like(K @ x)
    while True:
        new = g(x - tau * (gradient(x) + K.conj().T @ p), tau)
        p = f_conjugate(p + sigma * K @ (2 * new - x), sigma)
        x = new
        yield x


def admm(
    A: np.ndarray,
    y: Vector,
    g: Prox,
    K: np.ndarray,
    x: Vector,
    rho: float,
    solve: Callable[[np.ndarray, Vector, Vector], Vector],
) -> Iterator[Vector]:
    z, u = K @ x, np.zeros_like(K @ x)
    N = A.conj().T @ A + rho * K.conj().T @ K
    while True:
        x = solve(N, A.conj().T @ y + rho * K.conj().T @ (z - u), x)
        z = g(K @ x + u, 1 / rho)
        u = u + K @ x - z
        yield x


def sirt(blocks: list[tuple[np.ndarray, Vector]], x: Vector, lower: float) -> Iterator[Vector]:
    while True:
        for A, y in blocks:
            x = np.maximum(x + A.T @ ((y - A @ x) / A.sum(1)) / A.sum(0), lower)
        yield x


def ordered_subsets(
    blocks: list[tuple[np.ndarray, Vector]], dual: Prox, K: np.ndarray, x: Vector, lower: float, inner: int
) -> Iterator[Vector]:
    """`dual` is the proximal map of the conjugate of the functional after `K`."""
    step = 1 / sum(A.T @ A.sum(1) for A, _ in blocks)
    sigma = 1 / (np.linalg.norm(K, 2) ** 2 * step.max())
    z, t, p, rows = x, 1.0, np.zeros(K.shape[0]), sum(len(y) for _, y in blocks)
    while True:
        for A, y in blocks:
            w = z - step * rows / len(y) * (A.T @ (A @ z - y))
            q, s = p, 1.0
            for _ in range(inner):
                new = dual(q + sigma * K @ np.maximum(w - step * (K.T @ q), lower), sigma)
                s_new = (1 + np.sqrt(1 + 4 * s**2)) / 2
                q, p, s = new + (s - 1) / s_new * (new - p), new, s_new
            new = np.maximum(w - step * (K.T @ p), lower)
            if len(blocks) == 1 and np.sum((z - new) / step * (new - x)) > 0:
                t = 1.0
            t_new = (1 + np.sqrt(1 + 4 * t**2)) / 2
            z, x, t = new + (t - 1) / t_new * (new - x), new, t_new
        yield x
