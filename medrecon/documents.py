"""YAML and JSON that others wrote, read through one door: behind it are plain values, before it one line says what is wrong."""

from __future__ import annotations

import json
import math
import os
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from medrecon.errors import InputError

__all__ = ["as_code", "parse_json", "parse_yaml", "read_text"]

_LARGEST_TEXT = 2**23  # bytes
_MOST_VALUES = 200_000  # repetitions by aliases count
_DEEPEST = 64
_LONGEST_VALUE = 2**16  # characters
_LARGEST_INTEGER = 2**63
_Loaded: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 80, 80


class _NotPlainError(ValueError):
    """A document is larger, deeper or otherwise than one that people write; says in what."""


class _Loader(_Loaded):  # type: ignore[misc]
    """Plain values alone, with integers that computers count in."""

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        return _integer(node.value, super().construct_yaml_int(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def read_text(path: str | os.PathLike[str], wanted: str) -> str:
    """Read a text in UTF-8; `wanted` says in a few words what it should be.

    Raises
    ------
    InputError
        If it is missing, a folder, no text, or too large to be one that people write.
    """
    try:
        with Path(path).open("rb") as file:
            held = file.read(_LARGEST_TEXT + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist; check its name") from None
    except OSError as error:
        reason = (error.strerror or "no reason is known").lower()
        raise InputError(f"{path}: {reason}; give {wanted}") from error
    if len(held) > _LARGEST_TEXT:
        raise InputError(f"{path}: is larger than {_LARGEST_TEXT / 2**20:g} MiB; give {wanted}")
    try:
        return held.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text in UTF-8, from byte {error.start} on; give {wanted}") from None


def parse_yaml(text: str, place: str) -> Any:
    """Make plain values of a YAML text; `place` stands before what is wrong with it.

    Raises
    ------
    InputError
        If it is no YAML, names a key twice, or is deeper, larger or more repeated by aliases than what people write.
    """
    try:
        _require_modest(text)
        return yaml.load(text, Loader=_Loader)
    except _NotPlainError as error:
        raise InputError(f"{place}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # the library raises what Python raises of a wrong value, or of a deep one
        raise InputError(f"{place}: is not YAML: {_told(error)}; mend it") from error


def parse_json(text: str | bytes, place: str) -> Any:
    """Make plain values of a JSON text; `place` stands before what is wrong with it.

    Raises
    ------
    InputError
        If it is no JSON, or deeper or larger than what programs write of such a thing.
    """
    try:
        if len(text) > _LARGEST_TEXT:
            raise _NotPlainError(f"is larger than {_LARGEST_TEXT / 2**20:g} MiB")
        values = json.loads(text, parse_int=_json_integer, parse_float=_json_float, parse_constant=_json_float)
        _require_shallow(values)
        return values
    except _NotPlainError as error:
        raise InputError(f"{place}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: is not JSON: {_told(error)}") from error


def as_code(value: object) -> str:
    """A value as Python writes it, cut before it is written out: a list of a million items costs what one of six costs."""
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number of more than 40 digits"
    return _SHORT.repr(value)


def _told(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "its brackets are too deep"
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        place = "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"
        return f"{_cut(error.problem or error.context or 'it is damaged')}{place}"
    return (
        _cut(str(error))
        if isinstance(error, ValueError | yaml.YAMLError)
        else "a value is not of the kind that its tag says"
    )


def _cut(text: str) -> str:
    return " ".join(text[:200].split())


def _integer(digits: str, number: int) -> int:
    if abs(number) >= _LARGEST_INTEGER:
        raise _NotPlainError(
            f"{_cut(digits[:30])}... is an integer of {len(digits)} digits; at most 2^63 - 1 is possible"
        )
    return number


def _json_integer(digits: str) -> int:
    return _integer(digits, int(digits[:40]))  # of so many, the first alone tell that it is too large


def _json_float(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise _NotPlainError(f"{_cut(digits[:30])} is beyond the numbers that computers count in")
    return number


@dataclass
class _Open:
    """A list or mapping that has begun: its anchor, how many values stood before it, and the keys it has so far."""

    anchor: str | None
    before: int
    is_mapping: bool
    keys: set[str] = field(default_factory=set)
    parts: int = 0


def _line(event: Any) -> str:
    return f"in line {event.start_mark.line + 1}"


def _require_modest(text: str) -> None:
    """Walk through a YAML text before anything is made of it.

    Raises
    ------
    _NotPlainError
        If it is too large, too deep, or means too many values by aliases, or names a key twice.
    """
    if len(text) > _LARGEST_TEXT:
        raise _NotPlainError(f"is larger than {_LARGEST_TEXT / 2**20:g} MiB")
    counts: dict[str, int] = {}  # of values, by anchor
    opened: list[_Open] = []
    total = 0
    for event in _events(text):
        if isinstance(event, yaml.CollectionEndEvent):
            closed = opened.pop()
            if closed.anchor is not None:
                counts[closed.anchor] = total - closed.before
            continue
        if opened:
            _require_new_key(opened[-1], event)
        if isinstance(event, yaml.AliasEvent):
            anchor = str(event.anchor)
            if any(one.anchor == anchor for one in opened):
                raise _NotPlainError(f"*{_cut(anchor)} stands within itself, {_line(event)}")
            total += counts.get(anchor, 1)
        else:
            if event.anchor is not None:
                counts[event.anchor] = 1
            if isinstance(event, yaml.CollectionStartEvent):
                opened.append(_Open(event.anchor, total, isinstance(event, yaml.MappingStartEvent)))
            total += 1
        if len(opened) > _DEEPEST:
            raise _NotPlainError(f"has more than {_DEEPEST} lists or mappings within each other")
        if total > _MOST_VALUES:
            raise _NotPlainError(f"holds more than {_MOST_VALUES} values, those repeated by aliases counted")


def _events(text: str) -> Iterator[Any]:
    """What stands in a YAML text, one thing after the other, without what frames it."""
    event: Any
    for event in yaml.parse(text, Loader=_Loaded):
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > _LONGEST_VALUE:
            raise _NotPlainError(f"has a value of {len(event.value)} characters; {_LONGEST_VALUE} are possible")
        if isinstance(event, yaml.ScalarEvent) and "\0" in event.value:
            raise _NotPlainError(f"has a zero byte in a value, {_line(event)}")
        if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
            yield event


def _require_new_key(inside: _Open, event: Any) -> None:
    is_key = inside.is_mapping and inside.parts % 2 == 0
    inside.parts += 1
    if is_key and isinstance(event, yaml.ScalarEvent) and event.value != "<<":
        if event.value in inside.keys:
            raise _NotPlainError(f"the key {_cut(event.value[:40])} stands twice, {_line(event)} again")
        inside.keys.add(event.value)


def _require_shallow(values: object) -> None:
    level, depth = [values], 0
    while level:
        if depth > _DEEPEST:
            raise _NotPlainError(f"has more than {_DEEPEST} lists or mappings within each other")
        inside = [held.values() if isinstance(held, dict) else held for held in level if isinstance(held, dict | list)]
        level, depth = [one for values in inside for one in values], depth + 1
