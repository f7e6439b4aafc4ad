"""How a long job tells how far it has come."""

from collections.abc import Callable

__all__ = ["Progress", "silent"]

#: Called with what is being done, how much of it is done, and how much there is in all (0 where that is not known).
Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""
