"""Read settings from a YAML file, with changes from the command line; errors name the file, the key and what is allowed."""

from __future__ import annotations

import logging
import typing
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from medrecon.config.renamed import modern_key, modernize
from medrecon.documents import as_code, parse_yaml, read_text
from medrecon.errors import InputError

__all__ = ["load_settings", "parse_change", "settings_of"]

T = TypeVar("T", bound=BaseModel)
_LOG = logging.getLogger(__name__)


def load_settings(kind: type[T], path: Path, changes: Sequence[str] = ()) -> T:
    """Read settings of a kind; `changes` are `key=value`, keys with dots for what is inside: `training.epochs=3`.

    Raises
    ------
    InputError
        If the file cannot be read, a key is unknown, or a value is of a wrong type or out of its range.
    """
    values = parse_yaml(read_text(path, "one of configs/*.yaml, or your own"), str(path))
    if not isinstance(values, dict):
        raise InputError(f"{path}: holds no keys; it takes {', '.join(kind.model_fields)}")
    values = modernize(values, lambda note: _note_once(path, note))
    for change in changes:
        _set(values, change)
    return settings_of(kind, values, str(path))


def settings_of(kind: type[T], values: object, name: str) -> T:
    """Make settings of plain values that come from `name`.

    Raises
    ------
    InputError
        As `load_settings`.
    """
    try:
        return kind.model_validate(modernize(values))
    except ValidationError as error:
        raise InputError(f"{name}: {_words(kind, error.errors()[0])}") from error


def parse_change(change: str, *, example: str = "training.epochs=3") -> tuple[str, Any]:
    """Read `key=value`, the value as YAML.

    Raises
    ------
    InputError
        If it is none; the text shows the example.
    """
    key, equals, text = change.partition("=")
    if not equals or not key.strip() or key.strip().endswith("."):
        raise InputError(f"--set takes key=value, such as {example}; got '{change}'")
    return key.strip(), parse_yaml(text, f"--set {key.strip()}")


@lru_cache(maxsize=256)
def _note_once(path: Path, note: str) -> None:
    _LOG.warning("%s: %s", path, note)


def _set(values: dict[str, Any], change: str) -> None:
    key, value = parse_change(change)
    *parts, last = (modern_key(part) for part in key.split("."))
    inside: Any = values
    for part in parts:
        inside = _entered(inside, part, key)
    if isinstance(inside, list):
        inside[_place(inside, last, key)] = value
    else:
        inside[last] = value


def _entered(inside: Any, part: str, key: str) -> Any:
    if isinstance(inside, list):
        return inside[_place(inside, part, key)]
    found = inside.setdefault(part, {})
    if not isinstance(found, dict | list):
        raise InputError(f"--set {key}: {part} is a value, {as_code(found)}, and has no keys inside")
    return found


def _place(inside: list[Any], part: str, key: str) -> int:
    if not part.isdecimal() or int(part) >= len(inside):
        raise InputError(f"--set {key}: '{part}' is to be a place in a list of {len(inside)}, counted from 0")
    return int(part)


def _words(kind: type[BaseModel], error: Any) -> str:
    """Say what is wrong with one key, and what it takes."""
    models, path = {kind}, []
    for part in error["loc"][: -1 if error["type"] in ("extra_forbidden", "missing") else None]:
        models, is_key = _inside(models, part)
        path += [str(part)] if is_key else []
    key = ".".join([*path, str(error["loc"][-1])] if error["type"] in ("extra_forbidden", "missing") else path)
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    match error["type"]:
        case "extra_forbidden":
            allowed = ", ".join(name for model in models for name in model.model_fields)
            return f"{key}: there is no such key; allowed are {allowed}"
        case "missing":
            return f"{key}: is missing"
        case "union_tag_not_found":
            return f"{key}.kind: is missing; allowed are {_kinds(models)}"
        case "union_tag_invalid":
            return f"{key}.kind: got {as_code(error['ctx']['tag'])}; allowed are {error['ctx']['expected_tags']}"
        case "value_error":
            return f"{key}: {message}" if key else message
        case _:
            return f"{key}: {message}, got {as_code(error['input'])}"


def _inside(models: set[type[BaseModel]], part: str | int) -> tuple[set[type[BaseModel]], bool]:
    """The models of a key, or of a union's tag; and whether it was a key."""
    if isinstance(part, int):
        return models, True
    tagged = {model for model in models if part in _tags(model)}
    if tagged and not any(part in model.model_fields for model in models):
        return tagged, False
    fields = [model.model_fields[part] for model in models if part in model.model_fields]
    return {found for field in fields for found in _models(field.annotation)}, bool(fields)


def _tags(model: type[BaseModel]) -> tuple[str, ...]:
    field = model.model_fields.get("kind")
    return () if field is None else tuple(str(value) for value in typing.get_args(field.annotation))


def _kinds(models: set[type[BaseModel]]) -> str:
    return ", ".join(sorted(repr(tag) for model in models for tag in _tags(model)))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)
