"""Kinds of scanner."""

from enum import StrEnum

__all__ = ["Modality"]


class Modality(StrEnum):
    """Kinds of scanner."""

    MRI = "mri"
    CT = "ct"

    @property
    def holds(self) -> str:
        """What its files hold, in words."""
        return "k-space of MRI" if self is Modality.MRI else "sinograms of CT"
