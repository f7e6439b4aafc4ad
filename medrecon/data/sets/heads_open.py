"""Images of many people's heads, published under free licenses, as one set divided by person.

Every part holds images (see `medrecon.data.sets.head_images`), of which scans are simulated; ``measured`` holds k-space that a
scanner of 0.055 T measured of four of these people, in fastMRI's format.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import assert_never, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from medrecon.data.matlab import read_matlab
from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.mr_volume import MRVolume, read_mr
from medrecon.data.mri.writing import write_fastmri
from medrecon.data.sets.collected import Collected
from medrecon.data.sets.head_images import HeadSlice, head_slices, write_head_images
from medrecon.data.sets.manifest import Part
from medrecon.errors import InputError
from medrecon.progress import Progress, silent

__all__ = ["convert_heads_open", "read_heads"]

_PARTS = get_args(Part)
_LEAST_SHARE = 5  # of the training images, at most one in so many shows a brain without its head


def convert_heads_open(files: Iterable[Collected], data: Path, progress: Progress = silent) -> None:
    """Write the files of collections of heads as a set, in the folder `data`.

    Raises
    ------
    InputError
        If a file is not what its collection says.
    """
    (data / "measured").mkdir()
    images: list[Collected] = []
    for collected in files:
        if collected.collection.kind == "kspace":
            _write_kspace(collected, data / "measured")
        else:
            images.append(collected)
    for part in _PARTS:
        chosen = [one for one in images if one.file.part == part]
        if chosen:
            write_head_images(data, part, _heads(chosen, part, progress))


def _heads(files: Sequence[Collected], part: str, progress: Progress) -> Iterator[HeadSlice]:
    """Give the images of a part; in training, brains that were cut out of their heads come last, and are a fifth at most."""
    whole = 0
    for number, collected in enumerate(files):
        if collected.collection.kind != "brains":
            heads = read_heads(collected)
            whole += len(heads)
            yield from heads
            progress(f"drawing {part}", number, len(files))
    brains = [one for one in files if one.collection.kind == "brains"]
    left = whole // (_LEAST_SHARE - 1) if part == "train" else None
    for number, collected in enumerate(brains):
        heads = read_heads(collected)
        if left is not None:  # the rest is shared by the people who are left, from the middle of each brain
            heads = _middle(heads, left // (len(brains) - number))
            left -= len(heads)
        yield from heads
        progress(f"drawing {part}", len(files) - len(brains) + number, len(files))


def _middle(heads: list[HeadSlice], count: int) -> list[HeadSlice]:
    """Take so many of the images, evenly over the head, without its ends."""
    if count >= len(heads):
        return heads
    places = (np.arange(count) + 0.5) * len(heads) / count
    return [heads[int(place)] for place in places]


def read_heads(collected: Collected) -> list[HeadSlice]:
    """Read the images of one volume; see `head_slices` for which slices are taken.

    Raises
    ------
    InputError
        If it cannot be read, or shows no head.
    """
    try:
        return head_slices(_volume(collected), collected.subject, collected.file.contrast or "unknown")
    except InputError:
        raise
    except (ValueError, IndexError) as error:
        raise InputError(f"{collected}: {error}; fetch it again, or report it") from error


def _volume(collected: Collected) -> MRVolume:
    file, content = collected.file, collected.content
    match collected.collection.kind:
        case "volumes":
            if not isinstance(content, Path):
                raise InputError(f"{collected}: is packed as an array, and a whole volume is a file")
            return read_mr(content)
        case "slices" | "brains" as kind:
            magnitude = _chosen(content, file.slices, kind == "brains") if isinstance(content, Path) else _laid(content)
        case "images":
            values = np.moveaxis(read_matlab(content), -1, 0) if isinstance(content, Path) else content
            lifted = isinstance(content, Path) and file.offset
            magnitude = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)) - (lifted or 0.0)
        case "kspace" | "dicom" as kind:
            raise InputError(f"{collected}: is of the kind {kind}, which holds no image of a head")
        case _ as never:
            assert_never(never)
    if file.spacing is None:
        raise InputError(f"{collected}: the manifest states no spacing of it")
    return MRVolume(magnitude.clamp(min=0), file.spacing)


def _chosen(path: Path, slices: tuple[int, ...], cut: bool) -> torch.Tensor:
    """Take slices of a volume; of a brain that was cut out, the box that holds all of it."""
    magnitude = read_mr(path).magnitude
    if cut:
        for axis in (1, 2):
            shown = (magnitude != 0).any(dim=2 if axis == 1 else 1).any(dim=0).nonzero()[:, 0]
            magnitude = magnitude.narrow(axis, int(shown[0]), int(shown[-1] - shown[0]) + 1)
    return magnitude[list(slices)]


def _laid(packed: NDArray[np.generic]) -> torch.Tensor:
    """Lay axial slices `(slice, left, front)` of the packed form out as `(slice, y, x)`, y to the back."""
    return torch.from_numpy(np.ascontiguousarray(packed[:, :, ::-1].swapaxes(1, 2), dtype=np.float32))


def _write_kspace(collected: Collected, folder: Path) -> None:
    """Write k-space `(readout, phase encoding, slice)` of one coil, whose image is the centered transform, as it is."""
    content = collected.content
    values = read_matlab(content) if isinstance(content, Path) else content
    if values.ndim != 3 or not np.iscomplexobj(values):
        raise InputError(f"{collected}: holds {values.dtype} of shape {values.shape}, and k-space has three axes")
    slices = torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, 0), dtype=np.complex64))
    file = collected.file
    shape = (values.shape[0], values.shape[1])
    header = make_header(shape, shape, acquisition=f"AX{file.contrast}", patient_id=collected.subject)
    header = replace(header, encoded_fov=None, recon_fov=None)  # nobody tells the size of its pixels
    write_fastmri(folder / f"{collected.subject}_{file.contrast}.h5", slices, header=header)
