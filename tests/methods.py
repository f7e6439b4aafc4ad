"""The union of the methods that can be asked for, and their objects: what is to change where the union does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from medrecon.config import CT_METHODS, METHODS
from medrecon.config.settings import Method
from medrecon.reconstructor import Reconstructor
from medrecon.workflows import build_ct_reconstructor, build_reconstructor

Modality = Literal["mri", "ct"]


def every_method() -> Iterator[tuple[type[Method], Modality]]:
    """Each method with each modality that it takes."""
    yield from ((method, "mri") for method in METHODS)
    yield from ((method, "ct") for method in CT_METHODS)


def build(settings: Method, modality: Modality) -> Reconstructor:
    if modality == "mri":
        return build_reconstructor(settings)  # type: ignore[arg-type]
    return build_ct_reconstructor(settings)  # type: ignore[arg-type]
