"""An asymmetric phantom, oblique in the patient, of voxels that are all different, and where each of them lies."""

from pathlib import Path

import numpy as np
import torch

from medrecon.affine import Affine
from medrecon.data.outputs.image_format import ImageFormat
from medrecon.data.outputs.output import OutputForm, write_images
from medrecon.modality import Modality
from medrecon.planes import ImagePlanes

POSITIONS = ("HFS", "HFP", "HFDR", "HFDL", "FFS", "FFP", "FFDR", "FFDL")
ATTRIBUTES = {"method": "tv", "unit": "HU", "source": "Doe^Jane.h5", "seed": "Doe^Jane.h5", "acceleration": 4.0}
IDENTITY = {"PatientID": "p-7", "PatientName": "Doe^Jane"}
SHAPE = (5, 6, 7)  # (z, y, x)
WITHIN = 0.01  # mm


def oblique(seed: int) -> tuple[tuple[float, float, float], ...]:
    """Three directions at right angles, left-handed for odd seeds."""
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    if (np.linalg.det(rotation) < 0) != bool(seed % 2):
        rotation[:, 2] *= -1
    return tuple(tuple(column.tolist()) for column in rotation.T)


def planes(seed: int, position: str = "HFS", gap: float = 1.0) -> ImagePlanes:
    """Of slices 5 mm thick, `gap` mm from edge to edge."""
    directions = oblique(seed)
    one = Affine.centered((10.0, -20.0, 30.0), directions, spacing=(1.5, 2.0, 5.0), shape=(SHAPE[2], SHAPE[1], 1))
    step = (5.0 + gap) * np.array(directions[2])
    affines = tuple(
        Affine(one.x, one.y, one.z, tuple((np.array(one.origin) + k * step).tolist())) for k in range(SHAPE[0])
    )
    return ImagePlanes(affines, 5.0, position)


def volume() -> np.ndarray:
    """`(z, y, x)`: an F in the middle plane, brighter; every voxel has a value of its own, those of the F 500 more."""
    values = np.arange(1, np.prod(SHAPE) + 1, dtype=np.float32).reshape(SHAPE)
    values[2, 1:6, 2] += 500
    values[2, 1, 2:6] += 500
    values[2, 3, 2:5] += 500
    return values


def write(
    path: Path,
    where: ImagePlanes,
    *,
    modality: Modality = Modality.CT,
    form: ImageFormat | None = None,
    values: np.ndarray | None = None,
    keep_identity: bool = False,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Write the phantom; return what is said of it."""
    with write_images(path, OutputForm(form, keep_identity), overwrite=overwrite) as output:
        output.place(modality, where, IDENTITY)
        for image in volume() if values is None else values:
            output.append(torch.from_numpy(image))
        return output.describe(ATTRIBUTES)


def places(where: ImagePlanes) -> np.ndarray:
    """`(z, y, x, 3)`: where each voxel lies in millimeters (LPS)."""
    _, y, x = SHAPE
    found = [[[one(i, j, 0) for i in range(x)] for j in range(y)] for one in where.affines]
    return np.array(found)


def farthest(values: np.ndarray, world: np.ndarray, where: ImagePlanes) -> float:
    """Of what a reader gives, any order of axes: the largest distance in millimeters of a voxel from where it lies."""
    ours, order = np.argsort(volume(), axis=None), np.argsort(values, axis=None)
    np.testing.assert_allclose(np.sort(values, axis=None), np.sort(volume(), axis=None), atol=0.02)
    off = world.reshape(-1, 3)[order] - places(where).reshape(-1, 3)[ours]
    return float(np.linalg.norm(off, axis=1).max())


def by_matrix(shape: tuple[int, ...], matrix: np.ndarray) -> np.ndarray:
    """`(*shape, 3)`: the matrix `(4, 4)` of the indices of each element."""
    indices = np.stack([*np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), np.ones(shape)], axis=-1)
    return (indices @ matrix.T)[..., :3]
