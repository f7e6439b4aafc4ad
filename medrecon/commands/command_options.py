"""The options of `medrecon reconstruct`, and the settings that they make for the modality of a file."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import typer

from medrecon.commands.options import (
    AllowExternalOption,
    AxesOption,
    CalibrationOption,
    DarkOption,
    FlatOption,
    SelectOption,
    parse_select,
)
from medrecon.config import (
    FilterName,
    LearnedSettings,
    MaskName,
    PartialFourierName,
    PrecisionName,
    ReconstructionSettings,
    SliceSettings,
    methods_of,
    settings_from,
)
from medrecon.config.files import parse_change
from medrecon.config.methods import ALIASES, METHODS
from medrecon.config.usual_methods import USUAL_METHODS
from medrecon.device import DeviceName
from medrecon.errors import InputError
from medrecon.modality import Modality
from medrecon.words import shortened

__all__ = ["CommandOptions", "given", "known_method", "parse_field", "parse_size", "reject_options"]

_LOG = logging.getLogger(__name__)
_AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class CommandOptions:
    """How files are reconstructed, as the command line says it; None for what was not given."""

    method: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="See `medrecon methods`; wavelet for MRI and fbp for CT, or that of --weights, unless given; auto: that which "
            "predicts best what is held back of the scan.",
        ),
    ] = None
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Trained weights, of `medrecon weights list` or a .safetensors file; else the method's.",
        ),
    ] = None
    weight: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|auto",
            help="Of the regularization; else the method's own; auto: leaves that where others predict far better what is held "
            "back of the middle slice, by trials that take two times as long as its image, or three.",
        ),
    ] = None
    iterations: Annotated[int | None, typer.Option(help="At most; else the method's own.")] = None
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="OPTION=VALUE",
            help="Any option of the method, of `medrecon methods`: weight=0.002, window=hann; repeatable.",
        ),
    ] = None
    slices: Annotated[
        str | None, typer.Option(help="a:b (b not included), a:, :b or a, counted from 0; scores are of these alone.")
    ] = None
    seed: Annotated[
        int | None, typer.Option(help="Of the mask, or the added noise; made of the file's name unless given.")
    ] = None
    device: Annotated[DeviceName, typer.Option(help="Where to compute.")] = DeviceName.CPU
    check: Annotated[
        bool | None,
        typer.Option(
            "--check/--no-check",
            help="See how well the method predicts measurements that are held back, and whether a network does worse than a "
            "classical method; done for networks unless --no-check is given.",
        ),
    ] = None
    mask: Annotated[
        MaskName | None, typer.Option(help="MRI: undersample a full scan; without it data are taken as they are.")
    ] = None
    acceleration: Annotated[float | None, typer.Option(help="MRI: of the mask; 4 unless given.")] = None
    center_fraction: Annotated[
        float | None,
        typer.Option(help="MRI: share of the lines kept around the center; 0.32 / acceleration unless given."),
    ] = None
    coils: Annotated[
        str | None,
        typer.Option(
            metavar="N|all",
            help="MRI: compress coils into so many virtual ones, or none; unless given, more than 24 are, as far as nothing "
            "is lost that counts, but for networks and rss.",
        ),
    ] = None
    partial_fourier: Annotated[
        PartialFourierName | None,
        typer.Option(help="MRI: what stands for a side of k-space that was not acquired; zeros unless given."),
    ] = None
    geometry: Annotated[
        Path | None, typer.Option(help="CT: a YAML file that says how sinograms were measured, if they do not.")
    ] = None
    flat: FlatOption = None
    dark: DarkOption = None
    axes: AxesOption = None
    calibration: CalibrationOption = None
    views: Annotated[int | None, typer.Option(help="CT: keep so many evenly spaced views; else all.")] = None
    photons: Annotated[float | None, typer.Option(help="CT: add the noise of so many photons per ray.")] = None
    size: Annotated[
        str | None,
        typer.Option(
            metavar="N or YxX", help="Pixels of the image, such as 512 or 320x400; of MRI over the same field of view."
        ),
    ] = None
    field_of_view: Annotated[
        str | None, typer.Option(metavar="MM or YxX", help="MRI: the part of the field that is shown, such as 192.")
    ] = None
    pixel: Annotated[float | None, typer.Option(help="CT: width of a pixel in mm.")] = None
    hu: Annotated[bool, typer.Option("--hu", help="CT: write images in Hounsfield units.")] = False
    offset: Annotated[
        str | None,
        typer.Option(
            metavar="MM|auto", help="CT: of the detector along itself in mm, or measured; else as the file says."
        ),
    ] = None
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="CT: fill dead and missing bins, and correct those that read too much or too little in all views.",
        ),
    ] = False
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Take the data as they are in spite of what was found, of this name; repeatable."
        ),
    ] = None
    select: SelectOption = None
    allow_external: AllowExternalOption = False
    # Options of methods from before there was --set, which still work.
    window: Annotated[FilterName | None, typer.Option(hidden=True)] = None
    frequency_scaling: Annotated[float | None, typer.Option(hidden=True)] = None
    precision: Annotated[PrecisionName | None, typer.Option(hidden=True)] = None
    compiled: Annotated[bool, typer.Option("--compile", hidden=True)] = False

    def settings(self, name: str, modality: Modality) -> ReconstructionSettings:
        """Make the settings for a file of a modality, called `name`.

        Raises
        ------
        InputError
            If an option is of another modality, or out of its range; if trained weights are asked for that are not there, or do not
            fit.
        """
        method = self._method(name, modality)
        fields = {
            "method": self._method_fields(method),
            "acquisition": {"modality": modality.value, **self._acquisition(name, modality)},
            "slices": SliceSettings() if self.slices is None else SliceSettings.parse(self.slices),
            "device": self.device,
            "check": self.check,
            "candidates": [{"kind": kind} for kind in USUAL_METHODS[modality].candidates[1:]]
            if self.method == _AUTO
            else [],
        }
        by_set = {change.partition("=")[0].strip() for change in self.changes or ()}
        settings = settings_from(ReconstructionSettings, fields, by_set=by_set)
        for option, value in self._old_options().items():
            _note_once(f"--{option.replace('_', '-')} is --set {option}={value} now")
        if isinstance(settings.method, LearnedSettings):
            from medrecon.weights.learned import weights_of

            weights_of(settings.method, modality)
        return settings

    def _method(self, name: str, modality: Modality) -> str:
        known = methods_of(modality)
        if self.method == _AUTO:
            of_one = {
                "weights": self.weights,
                "weight": self.weight,
                "iterations": self.iterations,
                "set": self.changes,
            }
            reject_options(of_one, "an option of one method, and --method auto tries several")
            return USUAL_METHODS[modality].candidates[0]
        if self.method is None and self.weights is not None:
            from medrecon.weights.learned import method_of

            return method_of(self.weights)
        method = USUAL_METHODS[modality].default if self.method is None else known_method(self.method)
        if method not in known:
            raise InputError(
                f"--method {self.method}: {name} holds {modality.holds}, whose methods are {', '.join(known)}"
            )
        return method

    def _method_fields(self, method: str) -> dict[str, Any]:
        """The options of the method: those with a name of their own, and those of --set."""
        fields = given({"weights": self.weights, "weight": self.weight, "iterations": self.iterations})
        fields |= self._old_options()
        has = METHODS[method].options()
        for change in self.changes or ():
            key, value = parse_change(change, example="weight=0.002")
            if key not in has:
                options = f"it has {', '.join(has)}" if has else "it has no options"
                raise InputError(f"--set {change}: the method {method} has no {key}; {options}")
            if key in fields:
                raise InputError(f"--set {change}: {key} is given twice; leave one out")
            fields[key] = value
        return {"kind": method, **fields}

    def _old_options(self) -> dict[str, object]:
        """Those from before there was --set."""
        old = {"window": self.window, "frequency_scaling": self.frequency_scaling, "precision": self.precision}
        return given({**old, "compile": self.compiled or None})

    def _acquisition(self, name: str, modality: Modality) -> dict[str, object]:
        of_ct: dict[str, object] = {"geometry": self.geometry, "views": self.views, "photons": self.photons}
        of_ct |= {"flat": self.flat, "dark": self.dark}
        of_ct |= {"pixel": self.pixel, "hu": self.hu or None, "offset": self.offset, "repair": self.repair or None}
        of_mri: dict[str, object] = {
            "mask": self.mask,
            "acceleration": self.acceleration,
            "center_fraction": self.center_fraction,
        }
        taken: dict[str, object] = {"coils": self.coils, "partial_fourier": self.partial_fourier}
        size = None if self.size is None else parse_size(self.size)
        of_both = {"size": size, "allow_external": self.allow_external or None, "accept": tuple(self.accept or ())}
        if modality is Modality.MRI:
            reject_options(of_ct, f"an option of CT, and {name} holds {modality.holds}")
            field = None if self.field_of_view is None else parse_field(self.field_of_view)
            asked = {"axes": self.axes, "calibration": self.calibration, "select": parse_select(self.select) or None}
            return {"mask": self._mask(of_mri), **given({**of_both, "field_of_view": field, **taken, **asked})}
        reject_options(taken, f"an option of MRI, and {name} holds {modality.holds}")
        reject_options(of_mri, f"an option of MRI, and {name} holds {modality.holds}; --views thins those")
        reject_options({"calibration": self.calibration}, f"an option of MRI, and {name} holds {modality.holds}")
        reason = f"an option of MRI, and {name} holds {modality.holds}; --size and --pixel make the grid of those"
        reject_options({"field_of_view": self.field_of_view}, reason)
        reject_options({"select": self.select}, f"an option of MRI, and {name} holds {modality.holds}")
        return given({**of_ct, **of_both, "axes": self.axes, "seed": self.seed})

    def _mask(self, options: Mapping[str, object]) -> dict[str, object] | None:
        fields = given({**options, "seed": self.seed})
        if self.mask is not None:
            return {"kind": fields.pop("mask"), **fields}
        if fields:
            option = next(iter(fields)).replace("_", "-")
            raise InputError(
                f"--{option} belongs to a mask; give --mask, or leave --{option} out to take data as they are"
            )
        return None


@lru_cache(maxsize=64)
def _note_once(note: str) -> None:
    _LOG.warning("%s", note)


def known_method(name: str) -> str:
    """The name of a method today.

    Raises
    ------
    InputError
        If there is no such method.
    """
    if name in ALIASES:
        _note_once(f"the method {name} is called {ALIASES[name]} now")
    found = ALIASES.get(name, name)
    if found not in METHODS:
        raise InputError(f"--method {name}: there is no such method; there are {', '.join(METHODS)}")
    return found


def given(values: Mapping[str, object]) -> dict[str, object]:
    """Leave out what is None."""
    return {name: value for name, value in values.items() if value is not None}


def reject_options(values: Mapping[str, object], reason: str) -> None:
    """Refuse options that were given; None stands for one that was not.

    Raises
    ------
    InputError
        If there is any.
    """
    first = next(iter(given(values)), None)
    if first is not None:
        raise InputError(f"--{first.replace('_', '-')} is {reason}; leave it out")


def parse_size(text: str) -> tuple[int, int]:
    """Read `N` or `YxX`.

    Raises
    ------
    InputError
        If the text is neither.
    """
    y, x = _sides(text, r"\d{1,18}", "--size takes N or YxX, such as 256 or 320x368")
    return int(y), int(x)


def parse_field(text: str) -> tuple[float, float]:
    """Read millimeters: a side, or `YxX`.

    Raises
    ------
    InputError
        If the text is neither.
    """
    takes = "--field-of-view takes MM or YxX in millimeters, such as 192 or 220x180.5"
    y, x = _sides(text, r"\d{1,18}(?:\.\d{1,18})?", takes)
    return float(y), float(x)


def _sides(text: str, number: str, takes: str) -> tuple[str, str]:
    match = re.fullmatch(rf"({number})(?:x({number}))?", text.strip().lower(), re.ASCII)
    if match is None:
        raise InputError(f"{takes}; got '{shortened(text)}'")
    return match[1], match[2] or match[1]
