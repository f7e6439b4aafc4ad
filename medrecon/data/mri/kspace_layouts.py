"""Arrays of k-space of which the layout is known: by their names, by BART's order, or by the axes that a user names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medrecon.axes import KSpaceAxis
from medrecon.data.arrays import names_of, open_arrays
from medrecon.data.cfl import BartAxis, is_cfl, open_cfl
from medrecon.data.mri.kspace_array import KSpaceArray, center_peaks
from medrecon.data.mri.kspace_dataset import is_pair
from medrecon.data.stored import StoredArray, Transposed
from medrecon.errors import InputError
from medrecon.words import listed

__all__ = ["find_kspace", "holds_kspace", "open_cfl_kspace", "open_kspace_array"]

_Y, _X, _COIL, _SLICE, _FRAME = KSpaceAxis.Y, KSpaceAxis.X, KSpaceAxis.COIL, KSpaceAxis.SLICE, KSpaceAxis.FRAME
_CMRXRECON = {5: (_FRAME, _SLICE, _COIL, _X, _Y), 4: (_FRAME, _SLICE, _X, _Y)}
_CALGARY, _SKM_TEA = (_SLICE, _Y, _X, _COIL), (_SLICE, _Y, _X, _FRAME, _COIL)
_LOOPED = (BartAxis.TE, BartAxis.TIME, BartAxis.TIME2, BartAxis.AVG, BartAxis.BATCH)
_NAMES = ("kspace", "ksp", "kspace_full", "data", "k")


def holds_kspace(arrays: Sequence[StoredArray]) -> bool:
    """Whether one of the arrays is complex, or pairs of numbers, with two axes at least."""
    return any(_is_complex(one) for one in arrays)


def find_kspace(path: Path, arrays: Sequence[StoredArray], *, any_numbers: bool = False) -> StoredArray:
    """The array of k-space among those of a file: the complex one, or of several that by a usual name.

    With `any_numbers` real ones count, too, as the axes say how they are complex.

    Raises
    ------
    InputError
        If there is none, or several may be it.
    """
    known = [one for one in arrays if _is_complex(one)]
    if not known and any_numbers:
        known = [one for one in arrays if len(one.shape) > 2 and one.dtype.kind in "fiu"]
    if len(known) > 1:
        named = [one for one in known if _last(one) in _NAMES or _last(one).startswith("kspace")]
        known = named if len(named) == 1 else known
    if len(known) != 1:
        raise InputError(
            f"{path}: holds {names_of(list(arrays)) or 'no array'}, and one array of k-space is wanted; save it alone"
        )
    return known[0]


def open_kspace_array(
    path: Path, axes: tuple[KSpaceAxis, ...] | None = None, *, allow_external: bool = False
) -> KSpaceArray:
    """Open the array of k-space of a file: its `axes` as a user names them, or as its name and numbers leave no doubt.

    Raises
    ------
    InputError
        If it cannot be read, or nothing tells its axes.
    """
    if is_cfl(path):
        return open_cfl_kspace(path, axes)
    arrays = open_arrays(path, allow_external=allow_external)
    array = find_kspace(path, arrays, any_numbers=axes is not None or _is_calgary(arrays))
    if axes is not None:
        return KSpaceArray(array, axes)
    known, why = _known(array, [_last(one) for one in arrays])
    if known is None:
        raise InputError(
            f"{path}: k-space is {array.shape}, and nothing tells what its axes are; name them by --axes, such as "
            f"{_example(len(array.shape))}, of {listed([name.value for name in KSpaceAxis])}"
        )
    names = ",".join(known)
    return KSpaceArray(array, known, (f"k-space {array.shape} is taken as {names}, {why}",))


def open_cfl_kspace(path: Path, axes: tuple[KSpaceAxis, ...] | None = None) -> KSpaceArray:
    """Open a pair of BART as k-space, in BART's order of axes; one of time, echo, average or batch is that of frames.

    Raises
    ------
    InputError
        If it cannot be read, or has axes that k-space of slices does not.
    """
    array = open_cfl(path)
    if axes is not None:
        raise InputError(f"{path}: the axes of .cfl are in BART's order; leave --axes out")
    shape = array.shape
    named: list[KSpaceAxis | None] = [None] * len(shape)
    plane = [BartAxis.READ, BartAxis.PHS1]
    if shape[BartAxis.PHS2] > 1:
        if shape[BartAxis.READ] > 1:
            raise InputError(
                f"{path}: is {_sizes(shape)}, k-space of a volume with two phase encodings, and slices are wanted; transform its "
                "readout by `bart fft -i -u 1`, and give slices of it (`bart slice 0 N`)"
            )
        plane = [BartAxis.PHS1, BartAxis.PHS2]
    named[plane[0]], named[plane[1]], named[BartAxis.COIL], named[BartAxis.SLICE] = _Y, _X, _COIL, _SLICE
    looped = [axis for axis in _LOOPED if shape[axis] > 1]
    if looped:
        named[looped[0]] = _FRAME
    if others := [axis for axis in BartAxis if shape[axis] > 1 and named[axis] is None]:
        raise InputError(
            f"{path}: is {_sizes(shape)}, and k-space of slices has no {BartAxis(others[0]).name} beside its others; "
            f"take one by `bart slice {int(others[0])} N`"
        )
    return KSpaceArray(array, named)


def _known(array: StoredArray, names: Sequence[str]) -> tuple[tuple[KSpaceAxis, ...] | None, str]:
    """The axes of a layout that is certain, and why it is."""
    shape, name = array.shape, _last(array)
    if name.startswith(("kspace_full", "kspace_sub", "kspace_single")) and (known := _CMRXRECON.get(len(shape))):
        if name.startswith("kspace_single") != (len(shape) == 4):
            return None, ""
        return known[::-1] if isinstance(array, Transposed) else known, f"as CMRxRecon has `{name}`"
    if name == "kspace" and len(shape) == 5 and "maps" in names and shape[3] <= 2:
        return _SKM_TEA, "as SKM-TEA has it, echoes as frames"
    if _is_calgary([array]):
        return _CALGARY, "real and imaginary parts in turn, as Calgary-Campinas has it"
    if len(shape) == 2:
        return (_Y, _X), "of a single coil"
    return None, ""


def _is_calgary(arrays: Sequence[StoredArray]) -> bool:
    """Real numbers of which the last axis is of few coils, twice, and that joined in turn peak where k-space does."""
    named = [one for one in arrays if _last(one) == "kspace" and one.dtype.kind == "f" and len(one.shape) == 4]
    if len(named) != 1 or 0 in (shape := named[0].shape) or shape[3] % 2 or shape[3] >= min(shape[1:3]):
        return False
    file = KSpaceArray(named[0], _CALGARY)
    return center_peaks(file.raw(len(file) // 2))


def _is_complex(array: StoredArray) -> bool:
    return (array.dtype.kind == "c" or is_pair(array.dtype)) and len([n for n in array.shape if n > 1]) >= 2


def _last(array: StoredArray) -> str:
    return array.name.rpartition("/")[2].rpartition(".")[2].lower()


def _example(ndim: int) -> str:
    examples = {3: "coil,y,x or slice,y,x", 4: "slice,coil,y,x", 5: "frame,slice,coil,y,x"}
    return examples.get(ndim, "coil,y,x")


def _sizes(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
