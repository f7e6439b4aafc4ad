"""What a user can ask of a reconstruction, of any modality."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from medrecon.config.ct import CTAcquisition, CTSimulationSettings
from medrecon.config.methods import MethodSettings
from medrecon.config.mri import MRIAcquisition, MRISimulationSettings
from medrecon.config.settings import Settings, SliceSettings
from medrecon.device import DeviceName
from medrecon.modality import Modality

__all__ = ["SIMULATIONS", "Acquisition", "ReconstructionSettings"]

Acquisition = Annotated[MRIAcquisition | CTAcquisition, Field(discriminator="modality")]
#: What is simulated, by modality.
SIMULATIONS: dict[Modality, type[MRISimulationSettings | CTSimulationSettings]] = {
    Modality.MRI: MRISimulationSettings,
    Modality.CT: CTSimulationSettings,
}


class ReconstructionSettings(Settings):
    """How the measurements of a file become images: by which method, and how they are taken.

    Of `method` and `candidates` that is taken which predicts best what is held back of the middle slice: `method` where nothing can
    be. With `check` it is told how well the method predicts these measurements, and whether a network does worse than a classical
    method; None stands for networks alone.
    """

    method: MethodSettings
    acquisition: Acquisition
    slices: SliceSettings = SliceSettings()
    device: DeviceName = DeviceName.CPU
    check: bool | None = None
    candidates: tuple[MethodSettings, ...] = ()

    @model_validator(mode="after")
    def _require_modality(self) -> Self:
        modality = self.acquisition.modality
        if modality not in self.method.modalities:
            known = " and ".join(one.upper() for one in self.method.modalities)
            raise ValueError(f"the method {self.method.kind} is one of {known}, and the scan is of {modality.upper()}")
        return self
