"""What a page of reconstructions shows, as values: cases, their methods with images and scores, windows and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from medrecon._version import __version__
from medrecon.results import Display, Window

__all__ = [
    "Column",
    "Facts",
    "MethodImages",
    "Scores",
    "Table",
    "ViewerCase",
    "ViewerReport",
    "Window",
    "first_window",
    "quantile",
    "shared_notes",
]

#: What was done, by name.
Facts = Mapping[str, str | int | float]

_DARKEST, _BRIGHTEST = 0.01, 0.99  # quantiles of images that are black and white, where zero is not
_WHITE = 0.998  # this quantile of the reference is white unless a window is given
_MOST = 2**20  # numbers that a quantile is made of


@dataclass(frozen=True)
class Scores:
    """How good the images of a method are; None for what is not known.

    PSNR (decibels), SSIM and NMSE are those of `protocol`, such as `medrecon.evaluation.PROTOCOL`. `residual` is that against the
    data, relative to their noise.
    """

    protocol: str = ""
    psnr: float | None = None
    ssim: float | None = None
    nmse: float | None = None
    residual: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if not self.protocol and (self.psnr, self.ssim, self.nmse) != (None, None, None):
            raise ValueError("Scores takes the name of the protocol with PSNR, SSIM or NMSE, got none")


@dataclass(frozen=True)
class Column:
    """A column of a table; numbers are shown with so many `digits` behind the point."""

    name: str
    digits: int = 0


@dataclass(frozen=True)
class Table:
    """Rows of words and numbers, None for an empty cell; the reader sorts them by any column."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str | float | None, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"Table takes rows of {len(self.columns)} cells, got one of {len(row)}: {row}")


@dataclass(frozen=True, eq=False)
class MethodImages:
    """Images of one method, real `(slice, y, x)` and upright, and what is known of them.

    `residual` is a stack of maps of what the image leaves unexplained, of any size; `facts` are its parameters, weights, time.
    """

    name: str
    images: Tensor
    residual: Tensor | None = None
    scores: Scores = field(default_factory=Scores)
    facts: Facts = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_stack(f"the images of {self.name}", self.images)
        if self.residual is not None:
            _require_stack(f"the residual of {self.name}", self.residual)
            if len(self.residual) != len(self.images):
                raise ValueError(f"{self.name} has {len(self.images)} images, and {len(self.residual)} residuals")


@dataclass(frozen=True, eq=False)
class ViewerCase:
    """One scan, reconstructed by several methods; all that is shown of it shares one window, slice and place.

    Parameters
    ----------
    name
        of the scan, such as its file's.
    methods
        at least one, of one shape, each with its own name.
    unit
        of the images: `1/mm`, `HU`, or words such as `arbitrary units`.
    target
        the images that they should be, of the same shape.
    window, presets
        the first window, and others to choose from; unless given it is from 0, or the smallest value below it, to the 99.8th
        percentile of the target, else of the first method.
    pixel
        its height and width `(y, x)` in millimeters.
    mask
        the picture of the sampling, `(ky, kx)` or `(kx,)`.
    facts, notes
        what was done to the data.
    first_slice
        the place of the first slice in its file.
    residual_unit
        in which the residuals are.
    """

    name: str
    methods: tuple[MethodImages, ...]
    unit: str
    target: Tensor | None = None
    window: Window | None = None
    presets: tuple[Window, ...] = ()
    pixel: tuple[float, float] | None = None
    mask: Tensor | None = None
    facts: Facts = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    first_slice: int = 0
    residual_unit: str = ""

    def __post_init__(self) -> None:
        names = [method.name for method in self.methods]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"{self.name} takes methods of distinct names, at least one, got {names}")
        stacks = {method.name: method.images for method in self.methods}
        if self.target is not None:
            _require_stack(f"the target of {self.name}", self.target)
            stacks |= {"the target": self.target}
        shapes = {name: tuple(stack.shape) for name, stack in stacks.items()}
        if len(set(shapes.values())) > 1:
            raise ValueError(f"{self.name} takes stacks of one shape, got {shapes}")
        if self.mask is not None and self.mask.ndim not in (1, 2):
            raise ValueError(f"{self.name} takes a mask (ky, kx) or (kx,), got {tuple(self.mask.shape)}")
        if self.pixel is not None and not all(math.isfinite(side) and side > 0 for side in self.pixel):
            raise ValueError(f"{self.name} takes the pixel's sides (y, x) in millimeters, got {self.pixel}")

    @property
    def default_window(self) -> Window:
        """The window given, or one made of the target."""
        if self.window is not None:
            return self.window
        reference = self.methods[0].images if self.target is None else self.target
        low = min(0.0, float(reference.min()))
        high = quantile(reference, _WHITE)
        return Window(low, high if high > low else low + 1.0)


@dataclass(frozen=True, eq=False)
class ViewerReport:
    """What a page shows: cases, and before them tables of all of them together."""

    title: str
    cases: tuple[ViewerCase, ...]
    tables: tuple[Table, ...] = ()
    version: str = __version__

    def __post_init__(self) -> None:
        if not self.cases:
            raise ValueError("ViewerReport takes at least one case, got none")


def quantile(values: Tensor, share: float) -> float:
    """The value below which this share of a tensor lies; of tensors beyond `torch.quantile`, of numbers spread evenly over them."""
    flat = values.detach().flatten()
    step = flat.numel() // _MOST | 1  # odd, so that it meets all columns of most images
    return float(torch.quantile(flat[::step].double(), share))


def first_window(images: Tensor, display: Display, name: str) -> Window | None:
    """The window that a case begins with; None for magnitudes, of which the case makes it."""
    if display.is_magnitude:
        return None
    low, high = (quantile(images, share) for share in (_DARKEST, _BRIGHTEST))
    return Window(low, high if high > low else low + 1.0, name)


def shared_notes(notes: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Of notes by their methods, what all of them note, and with its name what one of several does."""
    found = []
    for note in dict.fromkeys(note for told in notes.values() for note in told):
        of = [name for name, told in notes.items() if note in told]
        found.append(note if len(of) == len(notes) else f"{', '.join(of)}: {note}")
    return tuple(found)


def _require_stack(what: str, stack: Tensor) -> None:
    if stack.ndim != 3 or not stack.is_floating_point() or stack.numel() == 0:
        raise ValueError(f"{what} are real numbers (slice, y, x), got {tuple(stack.shape)} {stack.dtype}")
    faulty = [number for number, image in enumerate(stack) if not bool(image.isfinite().all())]
    if faulty:
        raise ValueError(
            f"{what} are finite, got NaN or infinity in slice {faulty[0]}; leave the method out of the report"
        )
