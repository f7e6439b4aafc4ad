"""From the options of `medrecon reconstruct` to settings of the modality of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from medrecon.config import (
    CTMethodName,
    CTReconstructionSettings,
    FilterName,
    LearnedMethodName,
    LearnedSettings,
    MaskName,
    MethodName,
    ReconstructionSettings,
    SliceSettings,
    settings_from,
)
from medrecon.config.learned import PrecisionName
from medrecon.device import DeviceName
from medrecon.errors import InputError

__all__ = ["AnyMethodName", "CommandOptions", "chosen", "parse_size", "reject_options", "run_as"]


class AnyMethodName(StrEnum):
    """The methods of all modalities."""

    ZERO_FILLED = "zero-filled"
    RSS = "rss"
    SENSE = "sense"
    WAVELET = "wavelet"
    TV = "tv"
    FBP = "fbp"
    SIRT = "sirt"
    CGLS = "cgls"
    TV_POISSON = "tv-poisson"
    UNET = "unet"
    MODL = "modl"
    VARNET = "varnet"
    PRIMAL_DUAL = "primal-dual"


@dataclass(frozen=True)
class CommandOptions:
    """What was chosen on the command line; None for what was not."""

    method: AnyMethodName | None
    weights: str | None
    weight: float | None
    iterations: int | None
    seed: int | None
    slices: str | None
    device: DeviceName
    mask: MaskName | None
    acceleration: float | None
    center_fraction: float | None
    geometry: Path | None
    views: int | None
    photons: float | None
    window: FilterName | None
    frequency_scaling: float | None
    size: str | None
    pixel: float | None
    hu: bool

    def mri(self, name: str) -> ReconstructionSettings:
        """Make the settings for a file of k-space, called `name`.

        Raises
        ------
        InputError
            If an option is of CT, or out of its range; if trained weights are asked for that are not there, or do not fit.
        """
        method = self._method(MethodName, f"{name} holds k-space of MRI", MethodName.WAVELET)
        reject_options(self._of_ct(), f"an option of CT, and {name} holds k-space of MRI")
        fields = {
            "method": {"kind": method, **chosen(self._of_method())},
            "mask": self._mask(),
            "slices": self._slices(),
            "device": self.device,
        }
        settings = settings_from(ReconstructionSettings, fields)
        if isinstance(settings.method, LearnedSettings):
            from medrecon.weights.learned import mri_weights

            mri_weights(settings.method)
        return settings

    def ct(self, name: str) -> CTReconstructionSettings:
        """Make the settings for a file of sinograms, called `name`.

        Raises
        ------
        InputError
            If an option is of MRI, or out of its range; if trained weights are asked for that are not there, or do not fit.
        """
        method = self._method(CTMethodName, f"{name} holds sinograms of CT", CTMethodName.FBP)
        of_mri = {"mask": self.mask, "acceleration": self.acceleration, "center_fraction": self.center_fraction}
        reject_options(of_mri, f"an option of MRI, and {name} holds sinograms of CT; --views thins those")
        of_method = self._of_method() | {"window": self.window, "frequency_scaling": self.frequency_scaling}
        rest = {"geometry": self.geometry, "views": self.views, "photons": self.photons, "seed": self.seed}
        fields = {
            "method": {"kind": method, **chosen(of_method)},
            **chosen({**rest, "size": None if self.size is None else parse_size(self.size), "pixel": self.pixel}),
            "hu": self.hu,
            "slices": self._slices(),
            "device": self.device,
        }
        settings = settings_from(CTReconstructionSettings, fields)
        if isinstance(settings.method, LearnedSettings):
            from medrecon.weights.learned import ct_weights

            ct_weights(settings.method)
        return settings

    def _of_ct(self) -> dict[str, object]:
        return {
            "geometry": self.geometry,
            "views": self.views,
            "photons": self.photons,
            "window": self.window,
            "frequency_scaling": self.frequency_scaling,
            "size": self.size,
            "pixel": self.pixel,
            "hu": self.hu or None,
        }

    def _of_method(self) -> dict[str, object]:
        return {"weight": self.weight, "iterations": self.iterations, "weights": self.weights}

    def _method(self, names: type[StrEnum], place: str, default: StrEnum) -> StrEnum:
        if self.method is None and self.weights is not None:
            from medrecon.weights.learned import method_of

            return method_of(self.weights)
        known = {str(name): name for name in (*names, *LearnedMethodName)}
        if self.method is not None and self.method not in known:
            raise InputError(f"--method {self.method}: {place}, whose methods are {', '.join(known)}")
        return default if self.method is None else known[self.method]

    def _mask(self) -> dict[str, object] | None:
        given = {"acceleration": self.acceleration, "center_fraction": self.center_fraction, "seed": self.seed}
        fields = chosen(given)
        if self.mask is not None:
            return {"kind": self.mask, **fields}
        if fields:
            option = next(iter(fields)).replace("_", "-")
            raise InputError(
                f"--{option} belongs to a mask; give --mask, or leave --{option} out to take data as they are"
            )
        return None

    def _slices(self) -> SliceSettings:
        return SliceSettings() if self.slices is None else SliceSettings.parse(self.slices)


def chosen(values: Mapping[str, object]) -> dict[str, object]:
    """Leave out what is None."""
    return {name: value for name, value in values.items() if value is not None}


def reject_options(values: Mapping[str, object], reason: str) -> None:
    """Refuse options that were given; None stands for one that was not.

    Raises
    ------
    InputError
        If there is any.
    """
    given = next(iter(chosen(values)), None)
    if given is not None:
        raise InputError(f"--{given.replace('_', '-')} is {reason}; leave it out")


def run_as(
    settings: ReconstructionSettings | CTReconstructionSettings, precision: PrecisionName | None, compiled: bool
) -> ReconstructionSettings | CTReconstructionSettings:
    """The settings with the network run so; None and False leave its own defaults.

    Raises
    ------
    InputError
        If anything is asked for, and the method has no network.
    """
    switches = chosen({"precision": precision, "compile": compiled or None})
    if not isinstance(settings.method, LearnedSettings):
        reject_options(switches, f"an option of networks, and the method {settings.method.kind} has none")
        return settings
    return settings.model_copy(update={"method": settings.method.model_copy(update=switches)})


def parse_size(text: str) -> tuple[int, int]:
    """Read `N` or `YxX`.

    Raises
    ------
    InputError
        If the text is neither.
    """
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text.strip().lower(), re.ASCII)
    if match is None:
        raise InputError(f"--size takes N or YxX, such as 256 or 320x368; got '{text}'")
    return int(match[1]), int(match[2] or match[1])
