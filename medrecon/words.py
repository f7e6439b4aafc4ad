"""Counts and lists in the words that users read."""

from collections.abc import Sequence

__all__ = ["counted", "listed"]


def counted(number: int, noun: str, plural: str = "") -> str:
    """Say a number of things: `counted(1, "slice")` is "1 slice", `counted(1200, "slice")` is "1200 slices".

    Nouns take an "s", unless a `plural` is given.
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def listed(values: Sequence[object], most: int = 8) -> str:
    """Say the first few of many: `listed(range(10))` is "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"."""
    shown = ", ".join(map(str, values[:most]))
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"
