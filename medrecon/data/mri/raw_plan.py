"""What is made of the readouts of a measurement: which lines, on which grid, in which order of slices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medrecon.data.mri.acquisitions import Acquisitions, Flag, Heads
from medrecon.data.mri.raw_header import Encoding
from medrecon.data.mri.raw_lines import CHOICES, Kinds, LineGrid, choose, line_grid
from medrecon.errors import InputError
from medrecon.memory import require_memory
from medrecon.words import counted, listed

__all__ = ["RawPlan"]

_MOST_PADDED, _USUAL = 16, 4096  # times the lines that are there, where that is more than a usual matrix
_HOLES = 0.02  # of the partitions of a line: a few were lost, more are a pattern that was never to be acquired
_SAME_FIELD = 0.02  # by which the fields of view of an image and its calibration may differ

Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class RawPlan:
    """Readouts sorted.

    Parameters
    ----------
    kinds
        all readouts by their kind.
    image, calibration
        places of the lines of the image, and of those from which its coil maps are to be estimated, if there are any.
    taken
        what was chosen of several: encoding, contrast, phase, repetition and set.
    encoding, grid
        of the image.
    n_coils
        of its lines.
    slices
        counters of slices, or slabs, in the order of their positions.
    kept
        slices of a slab, 1 for a scan of slices.
    notes
        what a user should know of it.
    """

    kinds: Kinds
    image: Places
    calibration: Places
    taken: Mapping[str, int]
    encoding: Encoding
    grid: LineGrid
    n_coils: int
    slices: tuple[int, ...]
    kept: int
    notes: tuple[str, ...]

    @classmethod
    def of(cls, acquisitions: Acquisitions, select: Mapping[str, int]) -> RawPlan:
        """Sort the readouts of a measurement.

        Raises
        ------
        InputError
            If there is no line of an image, or lines are no Cartesian k-space, or contradict each other or the header.
        """
        path, heads = acquisitions.path, acquisitions.heads
        kinds = Kinds.of(heads)
        if len(kinds.image) == 0:
            raise InputError(f"{path}: holds {_words(kinds, heads)}, and no line of an image; export the scan itself")
        image, taken, notes = choose(heads, kinds.image, select, path)
        encoding = _encoding_of(acquisitions, taken["encoding"])
        if not encoding.is_cartesian:
            raise InputError(
                f"{path}: its trajectory is '{encoding.trajectory}', and Cartesian k-space alone is reconstructed; grid it by "
                "another program, and write it as HDF5 data set `kspace` (slice, coil, ky, kx)"
            )
        grid = line_grid(heads, image, encoding, path)
        n_coils = _require_coils(heads, image, path)
        kept = _kept(encoding, grid)
        _require_sizes(heads[image], grid, n_coils, path)
        told = _require_partitions(heads[image], grid, path) if grid.shape[0] > 1 else ()
        calibration, of_maps = _calibration(acquisitions, kinds, image, taken["encoding"], n_coils)
        slices, of_order = _in_order(heads, image)
        return cls(
            kinds=kinds,
            image=image,
            calibration=calibration,
            taken=taken,
            encoding=encoding,
            grid=grid,
            n_coils=n_coils,
            slices=slices,
            kept=kept,
            notes=(
                *notes,
                *grid.notes,
                *_of_ramps(encoding),
                *told,
                *of_order,
                *of_maps,
                *_of_reversed(heads, kinds, image),
            ),
        )

    def of_slice(self, heads: Heads, places: Places, number: int) -> Places:
        """Those of the places that are of a slice, and of what was chosen, or of the first there is where that has none."""
        places = places[heads["slice"][places] == number]
        for name, field in CHOICES.items():
            if name == "encoding" or len(places) == 0:
                continue
            there = heads[field][places]
            places = places[there == (self.taken[name] if self.taken[name] in there else there.min())]
        return places


def _words(kinds: Kinds, heads: Heads) -> str:
    held = [counted(len(kinds.noise), "noise scan"), counted(len(kinds.calibration), "calibration line")]
    held += [counted(len(kinds.correction), "phase-correction line")]
    return f"{counted(len(heads), 'readout')}, of them {', '.join(held)}"


def _encoding_of(acquisitions: Acquisitions, index: int) -> Encoding:
    encodings = acquisitions.header.encodings
    if index >= len(encodings):
        raise InputError(
            f"{acquisitions.path}: lines are of encoding {index}, and the header has {counted(len(encodings), 'encoding')}; "
            "mend the header"
        )
    return encodings[index]


def _require_coils(heads: Heads, image: Places, path: Path) -> int:
    there = np.unique(heads["active_channels"][image]).tolist()
    if len(there) != 1 or there[0] < 1:
        raise InputError(f"{path}: lines of the image have {listed(there)} coils; divide the file, which mixes scans")
    return int(there[0])


def _kept(encoding: Encoding, grid: LineGrid) -> int:
    """The partitions of a slab that the reconstructed field holds."""
    n, encoded, recon = grid.shape[0], encoding.encoded_fov, encoding.recon_fov
    if n == 1:
        return 1
    if encoded is not None and recon is not None and min(encoded[2], recon[2]) > 0:
        return max(1, min(n, round(n * recon[2] / encoded[2])))
    return min(n, encoding.recon_matrix[2])


def _require_sizes(lines: Heads, grid: LineGrid, n_coils: int, path: Path) -> None:
    """Refuse a header that makes far more of k-space than there is."""
    fields = "kspace_encode_step_2", "number_of_samples", "kspace_encode_step_1"
    there = len(np.unique(lines[fields[0]])), int(lines[fields[1]].max()), len(np.unique(lines[fields[2]]))
    if any(n > max(_MOST_PADDED * own, _USUAL) for n, own in zip(grid.shape, there, strict=True)):
        raise InputError(
            f"{path}: the header asks for k-space of {grid.shape} (kz, ky, kx), and lines make {there}; mend the header"
        )
    what = "one slice" if grid.shape[0] == 1 else "a slab, whose partitions are transformed together,"
    n_bytes = 24 * n_coils * math.prod(grid.shape)
    require_memory(n_bytes, f"{path}: {what} of {n_coils} coils x {' x '.join(map(str, grid.shape))}")


def _require_partitions(lines: Heads, grid: LineGrid, path: Path) -> tuple[str, ...]:
    """Refuse a slab of which lines lack partitions between others: its slices cannot be told apart one by one."""
    numbers = lines["slice"].astype(np.int64) * 2**32 + lines["kspace_encode_step_1"]
    order = np.lexsort((lines["kspace_encode_step_2"], numbers))
    numbers, steps = numbers[order], lines["kspace_encode_step_2"][order].astype(np.int64)
    same = numbers[1:] == numbers[:-1]
    gaps = np.maximum(np.diff(steps) - 1, 0)[same]
    holes, present = int(gaps.sum()), len(np.unique(numbers * 2**16 + steps))
    if holes > _HOLES * (holes + present):
        raise InputError(
            f"{path}: {holes} of {holes + present} points of partitions between others were not acquired, and slabs that are "
            "undersampled along their partitions are not reconstructed; give one that is fully sampled along them"
        )
    told = f"{counted(grid.shape[0], 'partition')} are transformed, slices are of the slab"
    return (
        (told, f"{counted(holes, 'point')} of partitions between others are missing, and taken as zero")
        if holes
        else (told,)
    )


def _in_order(heads: Heads, image: Places) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Counters of slices by their positions along the direction of slices, or as they are where positions say nothing."""
    numbers, first = np.unique(heads["slice"][image], return_index=True)
    one = heads[image[first]]
    normal = one["slice_dir"][0].astype(float)
    along = one["position"].astype(float) @ normal
    if not np.isfinite(along).all() or len(np.unique(along.round(3))) < len(along):
        return tuple(numbers.tolist()), ()
    order = np.argsort(along, kind="stable")
    if (np.diff(order) > 0).all():
        return tuple(numbers.tolist()), ()
    return tuple(numbers[order].tolist()), ("slices stand in the order of their positions, not of their numbers",)


def _calibration(
    acquisitions: Acquisitions, kinds: Kinds, image: Places, encoding: int, n_coils: int
) -> tuple[Places, tuple[str, ...]]:
    """The calibration lines that are of use: of the same coils and field, and not all of the image anyway."""
    heads, places = acquisitions.heads, kinds.calibration
    none = places[:0]
    if Flag.CALIBRATION_AND_IMAGE.of(heads[places]).all() and set(np.unique(heads["encoding_space_ref"][places])) <= {
        encoding
    }:
        return none, ()
    apart = places[heads["encoding_space_ref"][places] != encoding]
    places = apart if len(apart) else places
    number = int(heads["encoding_space_ref"][places[0]])
    own, theirs = (_encoding_of(acquisitions, index) for index in (encoding, number))
    count = f"{counted(len(places), 'calibration line')}"
    if not _is_same_field(own, theirs):
        return none, (f"{count} of another field of view than the image are not used",)
    if (heads["active_channels"][places] != n_coils).any() or (heads["encoding_space_ref"][places] != number).any():
        return none, (f"{count} of other coils than the image, or of several encodings, are not used",)
    covered = np.isin(np.unique(heads["slice"][image]), heads["slice"][places])
    if not covered.any():
        return none, (f"{count} of other slices than the image are not used",)
    return places, (f"{count}: coil maps are estimated from these",)


def _is_same_field(own: Encoding, theirs: Encoding) -> bool:
    if own is theirs:
        return True
    if own.encoded_fov is None or theirs.encoded_fov is None or not theirs.is_cartesian:
        return False
    axes = (0, 1) if own.encoded_matrix[2] == theirs.encoded_matrix[2] == 1 else (0, 1, 2)
    return all(
        abs(own.encoded_fov[axis] - theirs.encoded_fov[axis]) <= _SAME_FIELD * own.encoded_fov[axis] for axis in axes
    )


def _of_ramps(encoding: Encoding) -> tuple[str, ...]:
    if not encoding.has_ramps:
        return ()
    return (
        "the header says that readouts were sampled on ramps: they are taken as even, regrid them where they are not",
    )


def _of_reversed(heads: Heads, kinds: Kinds, image: Places) -> tuple[str, ...]:
    reverse = int(Flag.REVERSE.of(heads[image]).sum())
    if reverse == 0:
        return ()
    lines = f"{reverse} of {counted(len(image), 'line')} were read backwards, and are flipped"
    if len(kinds.correction) == 0:
        return (f"{lines}; there are no reference lines to correct the phase between directions by",)
    return (
        f"{lines}; the phase between directions is corrected by {counted(len(kinds.correction), 'reference line')}",
    )
