"""What the card of weights must say before it is used; what it says besides is kept as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medrecon.documents import as_code
from medrecon.errors import InputError

__all__ = ["require_card"]

_Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Fields(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class _Scores(_Fields):
    psnr: _Finite | None = None
    ssim: _Finite
    samples: int
    psnr_interval: tuple[_Finite, _Finite] | None = None
    ssim_interval: tuple[_Finite, _Finite] | None = None


class _Card(_Fields):
    name: str = ""
    operator: Literal["sense", "coils", "radon", "denoising"]
    data: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, _Scores | None]
    trained_steps: int | None = None
    configuration: dict[str, Any]
    inference: dict[str, Any] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()


def require_card(path: Path, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the card among what a file says of its tensors.

    Raises
    ------
    InputError
        If there is none, or one of its fields is missing or of another kind than medrecon writes.
    """
    card = metadata.get("card")
    remedy = "train again, or take the file from where it came"
    if not isinstance(card, dict) or "configuration" not in card:
        raise InputError(f"{path}: has a card without a configuration; {remedy}")
    try:
        _Card.model_validate(card)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part)[:40] for part in first["loc"])
        what = first["msg"].removeprefix("Input ")
        raise InputError(f"{path}: its card: {place}: {what}, got {as_code(first['input'])}; {remedy}") from error
    return card
