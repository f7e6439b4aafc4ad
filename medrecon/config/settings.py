"""What settings of every kind have in common: frozen, strict values, and words for those that are out of range."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from medrecon.errors import InputError
from medrecon.words import shortened

__all__ = ["Length", "Pixels", "Settings", "Size", "SliceSettings", "at_least", "settings_from"]

T = TypeVar("T", bound=BaseModel)
_TYPES = (
    "int",
    "float",
    "tuple",
)  # what pydantic writes into the place of a fault, beside keys and "constrained-float"
_BEYOND = 2**63  # and its negative: integers that fit no 64 bits


def at_least(least: float) -> AfterValidator:
    """The rule of numbers above zero that nothing else can be done with where they are far below any that is measured."""

    def require(number: float) -> float:
        if number < least:
            raise PydanticCustomError("too_small", "Input should be at least {least}", {"least": least})
        return number

    return AfterValidator(require)


#: Pixels along an axis of an image that is made.
Pixels = Annotated[int, Field(ge=1, le=16384)]
#: In millimeters.
Length = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False), at_least(1e-9)]
#: Pixels along an axis of a simulated image.
Size = Annotated[int, Field(ge=8, le=4096)]


class Settings(BaseModel):
    """Values that do not change, with no field but those named; true and false are no numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _require_numbers(cls, given: Any, make: ModelWrapValidatorHandler[Self]) -> Self:
        made = make(given)
        if faults := list(_wrong_numbers(given, dict(made))):
            raise ValidationError.from_exception_data(cls.__name__, faults)
        return made


class SliceSettings(Settings):
    """The slices `start <= i < stop` of a file, counted from 0; None stands for its first or its end."""

    start: int | None = Field(default=None, ge=0)
    stop: int | None = Field(default=None, ge=0)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `a:b`, `a:`, `:b` or a single `a`.

        Raises
        ------
        InputError
            If the text is none of these.
        """
        match = re.fullmatch(r"\s*(\d{0,18})\s*(:?)\s*(\d{0,18})\s*", text, re.ASCII)
        if match is None or not (match[1] or match[2]):
            raise InputError(f"--slices takes a:b, a:, :b or a single a, counted from 0; got '{shortened(text)}'")
        start = int(match[1]) if match[1] else None
        if not match[2]:
            return cls(start=start, stop=int(match[1]) + 1)
        return cls(start=start, stop=int(match[3]) if match[3] else None)

    def of(self, count: int, name: str) -> range:
        """Return the indices among `count` slices.

        Raises
        ------
        InputError
            If they are not all there, or there are none.
        """
        start = 0 if self.start is None else self.start
        stop = count if self.stop is None else self.stop
        if not 0 <= start < stop <= count:
            there = "one slice, 0" if count == 1 else f"{count} slices, 0 to {count - 1}"
            raise InputError(f"{name}: has {there}; --slices asks for {start}:{stop} (the end is not included)")
        return range(start, stop)


def settings_from(kind: type[T], fields: Mapping[str, object], *, by_set: Collection[str] = ()) -> T:
    """Make settings of plain values; those named in `by_set` were given as `--set NAME=VALUE`.

    Raises
    ------
    InputError
        If a value is out of its range; the text names the option.
    """
    try:
        return kind.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        name = next((str(part) for part in reversed(first["loc"]) if _is_field(part)), "")
        if first["type"] == "value_error" or not name:
            raise InputError(message) from error
        option = f"--set {name}:" if name in by_set else f"--{name.replace('_', '-')}"
        if first["type"] == "extra_forbidden":
            place = [str(part) for part in first["loc"][:-1]]
            where = " ".join(place[2:] if place[:1] == ["acquisition"] else place)  # such as "method rss"
            raise InputError(f"{option}: the {where} has no {name.replace('_', ' ')}") from error
        raise InputError(f"{option} {message.removeprefix('Input ')}, got {shortened(first['input'])}") from error


def _is_field(part: str | int) -> bool:
    return isinstance(part, str) and part.isidentifier() and part not in _TYPES


def _wrong_numbers(given: object, made: object, *place: str | int) -> Iterator[InitErrorDetails]:
    """Where true or false became a number, or an integer is one that no computer counts in."""
    if isinstance(made, int) and abs(made) >= _BEYOND:
        yield {"type": "less_than", "loc": place, "input": given, "ctx": {"lt": _BEYOND}}
    elif isinstance(given, bool) and not isinstance(made, bool):
        yield {"type": "int_type" if isinstance(made, int) else "float_type", "loc": place, "input": given}
    elif isinstance(given, Mapping) and isinstance(made, dict):
        for key in (key for key in made if key in given):
            yield from _wrong_numbers(given[key], made[key], *place, key)
    elif isinstance(given, list | tuple) and isinstance(made, tuple):
        for index, pair in enumerate(zip(given, made, strict=True)):
            yield from _wrong_numbers(*pair, *place, index)
