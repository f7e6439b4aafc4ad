"""The configurations that come with medrecon, and can be named in place of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medrecon.documents import parse_yaml, read_text
from medrecon.errors import InputError

__all__ = ["config_folder", "config_names", "find_config", "referred_files", "shipped_config"]


def config_folder() -> Path:
    """Return the folder of the configurations: inside an installed package, or at the root of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def config_names() -> tuple[str, ...]:
    """Return the names of the configurations that come with medrecon, in alphabetical order."""
    return tuple(sorted(path.stem for path in config_folder().glob("*.yaml")))


def shipped_config(name: str) -> Path:
    """Return the file of the configuration of this name.

    Raises
    ------
    InputError
        If none of this name comes with medrecon.
    """
    if name in (names := config_names()):
        return config_folder() / f"{name}.yaml"
    raise InputError(
        f"{name}: there is no such file, and no configuration of this name comes with medrecon; give your own YAML file, or "
        f"one of {', '.join(names)}"
    )


def find_config(name: str) -> Path:
    """Return the file of this path, or else that of the configuration of this name.

    Raises
    ------
    InputError
        If there is neither.
    """
    path = Path(name)
    return path if path.exists() and not path.is_dir() else shipped_config(name)


def referred_files(path: Path) -> tuple[Path, ...]:
    """Return the files beside a configuration that it names, relative to its folder: those of `tuned` settings that are there."""
    named = {Path(name) for name in _tuned(parse_yaml(read_text(path, "a configuration"), str(path)))}
    return tuple(sorted(name for name in named if not name.is_absolute() and (path.parent / name).is_file()))


def _tuned(values: Any) -> Iterator[str]:
    if isinstance(values, dict):
        yield from (value for key, value in values.items() if key == "tuned" and isinstance(value, str))
    if isinstance(values, dict | list):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _tuned(value)
