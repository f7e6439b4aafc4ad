"""Loops of compiled code over several threads: as many as torch uses, and none that would outlive a fork."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import torch

__all__ = ["ranges", "run_all"]

_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):  # where there is a fork, it leaves the threads behind
    os.register_at_fork(after_in_child=_pools.clear)


def run_all(work: Callable[[int, int], None], parts: Iterable[tuple[int, int]]) -> None:
    """Call `work(start, stop)`, which frees the lock of the interpreter, for all parts; each must write where no other does."""
    todo, n_threads = list(parts), torch.get_num_threads()
    if n_threads == 1 or len(todo) == 1:
        for start, stop in todo:
            work(start, stop)
        return
    if n_threads not in _pools:
        _pools[n_threads] = ThreadPoolExecutor(n_threads, thread_name_prefix="medrecon")
    for _ in _pools[n_threads].map(lambda part: work(*part), todo):
        pass


def ranges(count: int, size: int) -> list[tuple[int, int]]:
    """`range(count)` in pieces of at most `size`: what a piece holds does not depend on the number of threads."""
    return [(start, min(start + size, count)) for start in range(0, count, size)]
