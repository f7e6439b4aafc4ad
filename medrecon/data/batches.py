"""Which samples make up the batches of an epoch: of one size each, and as many for every process."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

__all__ = ["derived_seed", "epoch_batches", "share"]


def derived_seed(*keys: int) -> int:
    """A seed in [0, 2**63) made of whole numbers, such as (seed, epoch, index): the same for the same, else unlike.

    What is drawn for a sample then depends neither on what was drawn before nor on the process that draws.
    """
    words = np.random.SeedSequence([int(key) for key in keys]).generate_state(2, np.uint32)
    return (int(words[0]) << 31) ^ int(words[1])


def epoch_batches(
    buckets: Sequence[Hashable], batch_size: int, *, seed: int, epoch: int, n_processes: int = 1
) -> list[tuple[int, ...]]:
    """The batches of an epoch, shuffled: indices of samples of one bucket each, so that they can be stacked.

    Every sample occurs. The last batch of a bucket may be smaller. Where the number of batches is no multiple of `n_processes`,
    the first are repeated, so that each process has as many and none waits for another in vain.

    Parameters
    ----------
    buckets
        what samples must agree in, one a sample.
    batch_size
        samples in a batch.
    seed, epoch
        of the shuffling.
    n_processes
        the number of batches is a multiple of it.

    Raises
    ------
    ValueError
        if there is no sample, or a number is below 1.
    """
    if not buckets or batch_size < 1 or n_processes < 1:
        raise ValueError(
            f"epoch_batches takes samples, a batch_size and n_processes of at least 1, got {len(buckets)}, {batch_size}, "
            f"{n_processes}"
        )
    random = np.random.default_rng(derived_seed(seed, epoch))
    members: dict[Hashable, list[int]] = {}
    for index in random.permutation(len(buckets)):
        members.setdefault(buckets[index], []).append(int(index))
    batches = [
        tuple(group[start : start + batch_size])
        for group in members.values()
        for start in range(0, len(group), batch_size)
    ]
    batches = [batches[place] for place in random.permutation(len(batches))]
    missing = -len(batches) % n_processes
    return [*batches, *(batches[k % len(batches)] for k in range(missing))]


def share(n: int, process: int, n_processes: int) -> range:
    """The indices among `n` that fall to one process: each exactly once, some processes one fewer."""
    return range(process, n, n_processes)
