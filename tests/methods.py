"""The union of the methods that can be asked for, and their objects: what is to change where the union does."""

from __future__ import annotations

from collections.abc import Iterator

from medrecon.config.methods import METHODS, Method
from medrecon.modality import Modality
from medrecon.reconstructor import Reconstructor
from medrecon.workflows import build_reconstructor

__all__ = ["Modality", "build", "every_method"]


def every_method() -> Iterator[tuple[type[Method], Modality]]:
    """Each method with each modality that it takes."""
    yield from ((method, modality) for method in METHODS.values() for modality in method.modalities)


def build(settings: Method, modality: Modality) -> Reconstructor:
    return build_reconstructor(settings, modality)
