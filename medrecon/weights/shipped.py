"""The weights that come with medrecon, by their names; no torch is imported to look for them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SHIPPED", "shipped_names", "shipped_weights"]

#: Where they lie, `NAME.safetensors` and the card `NAME.json` of each.
SHIPPED = Path(__file__).resolve().parent


def shipped_weights(name: str) -> Path | None:
    """The file of the weights of this name, or None."""
    path = SHIPPED / f"{name}.safetensors"
    return path if Path(name).name == name and path.is_file() else None


def shipped_names() -> tuple[str, ...]:
    """The names of all, in alphabetical order."""
    return tuple(path.stem for path in sorted(SHIPPED.glob("*.safetensors")))
