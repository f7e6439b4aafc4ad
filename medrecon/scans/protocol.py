"""What every scan is, whatever the scanner: the loop that reconstructs files asks for this alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import torch
from torch import Tensor

from medrecon.errors import ChangedError, InputError
from medrecon.evaluation import Score
from medrecon.held_out import HeldOut
from medrecon.modality import Modality
from medrecon.planes import ImagePlanes
from medrecon.problem import Problem
from medrecon.progress import Progress
from medrecon.reconstructor import Reconstructor
from medrecon.results import Display, Facts, SliceResult
from medrecon.weights.learned import LearnedReconstructor

__all__ = ["Posed", "Scan", "sound_slices"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Posed:
    """Some slices of a scan as one problem, and what it takes to tell of them.

    Parameters
    ----------
    indices
        of the slices in the file.
    problem
        theirs: of one slice, or of a batch.
    samples
        as they were measured, one a slice.
    targets
        real `(y, x)` each, or None.
    scale
        by which images are multiplied.
    sentence, sampling, facts
        how they were measured: in a sentence, in few words, and as values.
    seconds
        that it took to pose the problem, with its coil maps.
    """

    indices: range
    problem: Problem
    samples: Sequence[Any]
    targets: Sequence[Tensor | None]
    sentence: str
    sampling: str
    facts: Facts
    scale: float = 1.0
    seconds: float = 0.0


class Scan(Protocol):
    """A file as it is to be reconstructed: a third modality is one more class of this kind."""

    @property
    def source(self) -> Path:
        """The file."""
        ...

    @property
    def modality(self) -> Modality: ...

    @property
    def display(self) -> Display:
        """How its images are shown."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of the scan as a whole."""
        ...

    @property
    def unit(self) -> str:
        """Of the images that are written."""
        ...

    @property
    def pixel(self) -> tuple[float, float] | None:
        """The `(y, x)` spacing of images in millimeters, where it is known."""
        ...

    @property
    def photons(self) -> float | None:
        """Per ray before the object, where they are known and there are any."""
        ...

    @property
    def sizes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The `(rows, columns)` of an image and of its map of residuals, known before anything is read."""
        ...

    @property
    def has_target(self) -> bool:
        """Whether images will have a target, as far as that is known before anything is read."""
        ...

    @property
    def identity(self) -> Mapping[str, str]:
        """What the file says of the person, by DICOM's keywords; it is written where that is asked for alone."""
        ...

    def __len__(self) -> int: ...

    def planes(self, indices: range) -> ImagePlanes:
        """Where the images of slices lie in the patient, as far as anything states it."""
        ...

    def checked(self, indices: range, progress: Progress) -> Self:
        """Look through the slices at `indices` once; `problems` gives these.

        Raises
        ------
        InputError
            If one of them cannot be used.
        """
        ...

    def problems(self, reconstruct: Reconstructor, device: torch.device) -> Iterator[Posed]:
        """Pose the problems of the slices that were looked through, as the method takes them."""
        ...

    def held_out(self, methods: Sequence[Reconstructor], device: torch.device) -> Sequence[HeldOut | None]:
        """Hold back the same measurements of the middle slice that was looked through for all methods, as each takes the rest.

        A method makes its image of what is left alone, as if no more had been measured. There is None where nothing can be held
        back.
        """
        ...

    def images(self, posed: Posed, x: Tensor) -> Tensor:
        """The images `(n, y, x)` of what a reconstructor gave: float32, on the CPU, scaled back."""
        ...

    def results(self, posed: Posed, x: Tensor, images: Tensor, *, residuals: bool) -> Iterable[SliceResult]:
        """What came of each slice, with the map of its residuals if that is asked for and known."""
        ...

    def written(self, image: Tensor) -> Tensor:
        """An image `(y, x)` in the unit and orientation of the file of images."""
        ...

    def links(self) -> tuple[str, ...]:
        """Other names by which images are found in the file."""
        ...

    def score(self) -> Score | None:
        """Scores by the protocol of the data, of no image yet; None where nothing can be scored."""
        ...

    def unlike_training(self, reconstruct: LearnedReconstructor, posed: Posed) -> Iterator[str]:
        """What the weights were trained on, and how the scan differs from that."""
        ...


class _Readable(Protocol[T_co]):
    """A file that is read one slice at a time."""

    def __getitem__(self, index: int, /) -> T_co: ...


def sound_slices(file: _Readable[T], indices: range) -> Iterator[T]:
    """Read all, and complain in the end of those that cannot be used, with the longest run of those that can.

    Raises
    ------
    InputError
        If a slice cannot be used.
    ChangedError
        At once, if the file is no longer what it was.
    """
    faults: dict[int, str] = {}
    for index in indices:
        try:
            sample = file[index]
        except ChangedError:
            raise
        except InputError as error:
            faults[index] = str(error)
            continue
        yield sample
        del sample
    if not faults:
        return
    message = next(iter(faults.values()))
    if len(faults) > 1:
        message += f"; {len(faults) - 1} more of the slices asked for cannot be used either"
    edges = [indices.start - 1, *faults, indices.stop]
    start, stop = max(((a + 1, b) for a, b in pairwise(edges)), key=lambda run: run[1] - run[0])
    if start < stop:
        message += f"; --slices {start}:{stop} takes sound ones alone"
    raise InputError(message)
