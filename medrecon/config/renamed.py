"""Names of earlier versions in files of settings and in cards of weights: they are taken, and said in today's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["modern_key", "modernize"]

_KEYS = {"normalisation": "normalization", "licence": "license", "problems": "scenarios", "problem": "scenario"}
_KINDS = {"own": "custom", "cgls": "tikhonov"}


def modern_key(key: str) -> str:
    """Return the name that a key has today."""
    return _KEYS.get(key, key)


def modernize(values: Any, say: Callable[[str], None] | None = None) -> Any:
    """Return plain values with keys and kinds of earlier versions by their names of today; `say` is told of each."""
    if isinstance(values, list):
        return [modernize(value, say) for value in values]
    if not isinstance(values, dict):
        return values
    found = {}
    for key, value in values.items():
        new, kept = modern_key(key), modernize(value, say)
        if new in values:
            new = key  # both are there: the old one is refused as unknown
        if new != key and say is not None:
            say(f"the key `{key}` is called `{new}` now; the old name will go in the next version")
        if key == "kind" and isinstance(kept, str) and kept in _KINDS:
            if say is not None:
                say(f"the kind `{kept}` is called `{_KINDS[kept]}` now; the old name will go in the next version")
            kept = _KINDS[kept]
        found[new] = kept
    return found
