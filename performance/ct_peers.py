"""The packages that the CT operators are compared with, each called by its own documented interface and in its own conventions.

Every peer projects the same disk, and says which rays of ours it measures, so that its sinogram is checked against the closed
form of those rays. What is timed (`Call.run`) is the peer's call alone, on data already laid out for it; `Call.read` turns the
outcome into our units and axes afterwards.

ASTRA: van Aarle et al., Optics Express 24:25129 (2016). RTK: Rit et al., J Phys Conf Ser 489:012079 (2014).
scikit-image: van der Walt et al., PeerJ 2:e453 (2014). DeepInverse: Tachella et al., arXiv 2505.20160 (2025).
"""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrecon.data.ct.projections import phantom_sinogram
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam
from medrecon.operators import Radon
from medrecon.reconstructors.filtered_backprojection import FilteredBackprojection

Array = NDArray[np.float32]
VALUE, RADIUS, CENTER = 0.25, 80.0, (-30.0, 20.0)  # of the disk: 1/mm; mm; (y, x) in mm
OPERATIONS = ("forward", "adjoint", "fbp")


@dataclass(frozen=True)
class Scene:
    """A scan of `batch` disks: each the first one turned about the center."""

    name: str
    grid: Grid
    geometry: Geometry
    batch: int = 1

    def _centers(self, shift: float = 0.0) -> Iterator[tuple[float, float]]:
        for index in range(self.batch):
            c, s = math.cos(index), math.sin(index)
            yield CENTER[0] * c + CENTER[1] * s - shift, CENTER[1] * c - CENTER[0] * s - shift

    def inside(self, radius: float = RADIUS) -> NDArray[np.bool_]:
        """`(batch, y, x)`: the pixels whose center lies within `radius` of each disk's."""
        y, x = self.grid.coordinates()
        return np.stack([np.hypot(y[:, None] - cy, x - cx) <= radius for cy, cx in self._centers()])

    def images(self) -> Array:
        """The disks, `(batch, y, x)`, by the centers of the pixels."""
        return np.asarray(VALUE * self.inside(), np.float32)

    def sinograms(self, geometry: Geometry | None = None, shift: float = 0.0) -> Array:
        """Their line integrals in closed form, the center of the image lying at `-shift` mm in both axes."""
        disks = [Phantom((Ellipse(VALUE, center, (RADIUS, RADIUS)),)) for center in self._centers(shift)]
        chosen = self.geometry if geometry is None else geometry
        return np.stack([phantom_sinogram(disk, chosen).numpy() for disk in disks]).astype(np.float32)


@dataclass(frozen=True)
class Call:
    """What is timed, and what makes `(batch, ...)` in our units and axes of its outcome."""

    run: Callable[[], Any]
    read: Callable[[Any], Any]


@dataclass(frozen=True)
class Peer:
    """A package on a scene; `geometry` and `shift` say which rays it measures, as `Scene.sinograms` takes them."""

    name: str
    calls: dict[str, Call]
    geometry: Geometry
    shift: float = 0.0
    notes: list[str] = field(default_factory=list)


@cache
def optional(name: str) -> Any:
    """The module, or None where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except Exception as error:  # what an optional package may raise when imported is not ours to know
        print(f"{name.split('.')[0]} is left out: {str(error).splitlines()[0]}")
        return None


def _same(outcome: Any) -> Any:
    return outcome


def medrecon(scene: Scene) -> Peer:
    A, fbp = Radon(scene.grid, scene.geometry), FilteredBackprojection()
    x, y = torch.from_numpy(scene.images()), torch.from_numpy(scene.sinograms())
    runs: list[Callable[[], Any]] = [lambda: A(x), lambda: A.H(y), lambda: fbp(y, A)]
    return Peer(
        "medrecon",
        {name: Call(run, torch.Tensor.numpy) for name, run in zip(OPERATIONS, runs, strict=True)},
        scene.geometry,
    )


def astra(scene: Scene) -> Peer | None:
    """ASTRA on the CPU: its `linear` projector, for a fan `line_fanflat`, which has no filtered backprojection.

    Its y axis points up: its angles are the negative of ours, in a fan 180 degrees further, the detector the other way round.
    """
    toolbox = optional("astra")
    if toolbox is None:
        return None
    geometry, (height, width) = scene.geometry, scene.grid.extent
    angles = -np.array(list(geometry.angles))
    volume = toolbox.create_vol_geom(*scene.grid.shape, -width / 2, width / 2, -height / 2, height / 2)
    if isinstance(geometry, FanBeam):
        distances = geometry.source_distance, geometry.detector_distance
        beam = toolbox.create_proj_geom("fanflat", geometry.spacing, geometry.n_bins, angles + np.pi, *distances)
        kind, algorithms, flip = "line_fanflat", {"forward": "FP", "adjoint": "BP"}, -1
    else:
        beam = toolbox.create_proj_geom("parallel", geometry.spacing, geometry.n_bins, angles)
        kind, algorithms, flip = "linear", {"forward": "FP", "adjoint": "BP", "fbp": "FBP"}, 1
    projector = toolbox.create_projector(kind, beam, volume)

    def call(operation: str) -> Call:
        images, sinograms = scene.images(), np.ascontiguousarray(scene.sinograms()[..., ::flip])
        name = "VolumeDataId" if operation == "forward" else "ReconstructionDataId"
        runs = []
        for image, sinogram in zip(images, sinograms, strict=True):
            settings = toolbox.astra_dict(algorithms[operation])
            settings["ProjectorId"] = projector
            settings["ProjectionDataId"] = toolbox.data2d.link("-sino", beam, sinogram)
            settings[name] = toolbox.data2d.link("-vol", volume, image)
            runs.append(toolbox.algorithm.create(settings))

        def run() -> Array:
            for each in runs:
                toolbox.algorithm.run(each)
            return sinograms if operation == "forward" else images

        return Call(run, (lambda y: y[..., ::flip]) if operation == "forward" else _same)

    return Peer("ASTRA", {operation: call(operation) for operation in algorithms}, geometry)


def rtk(scene: Scene) -> Peer | None:
    """RTK's projectors of Joseph, and FDK.

    It takes no plane: a row of rays lies between two equal slices, and for FDK a slice between two equal rows.
    """
    itk = optional("itk")
    toolkit = getattr(itk, "RTK", None)
    if toolkit is None:
        return None
    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(torch.get_num_threads())
    geometry, grid = scene.geometry, scene.grid
    kind, (y, x), (dy, dx) = itk.Image[itk.F, 3], grid.coordinates(), grid.spacing
    circle = toolkit.ThreeDCircularProjectionGeometry.New()
    for angle in np.rad2deg(list(geometry.angles)):
        if isinstance(geometry, FanBeam):
            circle.AddProjection(geometry.source_distance, geometry.source_to_detector, 180.0 - angle)
        else:
            circle.AddProjection(2 * grid.radius, 0.0, -angle)
    flip = -1 if isinstance(geometry, FanBeam) else 1

    def stacked(data: Array, count: int, spacing: tuple[float, float], first: tuple[float, float]) -> Any:
        image = itk.image_from_array(np.ascontiguousarray(np.repeat(data[:, None, :], count, axis=1)))
        image.SetSpacing([spacing[1], 1.0, spacing[0]])
        image.SetOrigin([first[1], -(count - 1) / 2, first[0]])
        return image

    def images(slices: int) -> list[Any]:
        return [stacked(image, slices, (dy, dx), (float(y[0]), float(x[0]))) for image in scene.images()]

    def sinograms(rows: int) -> list[Any]:
        first = float(geometry.positions()[0])
        return [stacked(y[:, ::flip], rows, (1.0, geometry.spacing), (0.0, first)) for y in scene.sinograms()]

    def call(make: Callable[[], Any], into: list[Any], of: list[Any], read: Callable[[Array], Array]) -> Call:
        filters = []
        for target, source in zip(into, of, strict=True):
            each = make()
            target.FillBuffer(0)
            each.SetInput(0, target)
            each.SetInput(1, source)
            each.SetGeometry(circle)
            each.InPlaceOff()  # else a second run would find its first input gone
            filters.append(each)

        def run() -> list[Any]:
            for each in filters:
                each.Modified()
                each.Update()
            return filters

        return Call(run, lambda done: np.stack([read(itk.array_from_image(each.GetOutput())) for each in done]))

    forward, adjoint = (toolkit.JosephForwardProjectionImageFilter, toolkit.JosephBackProjectionImageFilter)
    fdk = toolkit.FDKConeBeamReconstructionFilter[kind].New
    return Peer(
        "RTK",
        {
            "forward": call(forward[kind, kind].New, sinograms(1), images(2), lambda y: y[:, 0, ::flip]),
            "adjoint": call(adjoint[kind, kind].New, images(2), sinograms(1), lambda x: x.sum(1)),
            "fbp": call(fdk, images(1), sinograms(2), lambda x: x[:, 0]),
        },
        geometry,
    )


def scikit_image(scene: Scene) -> Peer | None:
    """`radon` and `iradon`: bins of one pixel across the diagonal, turning about pixel n // 2; its adjoint is approximate."""
    transform = optional("skimage.transform")
    size, step = scene.grid.shape[0], scene.grid.spacing[0]
    if transform is None or not isinstance(scene.geometry, ParallelBeam) or not isinstance(scene.geometry.angles, Arc):
        return None
    arc = scene.geometry.angles
    n_bins = math.ceil(math.sqrt(2) * size)
    half = step / 2 if size % 2 == 0 else 0.0
    geometry = ParallelBeam(
        Arc(-arc.first, -arc.step, arc.count), n_bins, step, offset=0.0 if n_bins % 2 else -step / 2
    )
    degrees = np.rad2deg(list(arc))
    images = scene.images()
    sinograms = [np.ascontiguousarray(y.T) for y in scene.sinograms(geometry, half) / step]

    def back(name: str | None) -> Callable[[], list[Any]]:
        return lambda: [
            transform.iradon(y, degrees, output_size=size, filter_name=name, circle=False) for y in sinograms
        ]

    scale = 2 * arc.count / math.pi * step
    return Peer(
        "scikit-image",
        {
            "forward": Call(
                lambda: [transform.radon(x, degrees, circle=False) for x in images],
                lambda done: np.stack([y.T for y in done]) * step,
            ),
            "adjoint": Call(back(None), lambda done: np.stack(done) * scale * step),
            "fbp": Call(back("ramp"), np.stack),
        },
        geometry,
        half,
    )


def deep_inverse(scene: Scene) -> Peer | None:
    """`Tomography` of DeepInverse, in torch: view by view, the quicker way on a CPU, with the exact adjoint by autograd.

    A parallel beam has bins of one pixel across the diagonal; a fan is turned by 90 degrees, and its values lack the obliquity. The
    adjoint of a batch of 8 would keep 17 GiB for autograd: it takes the images one by one.
    """
    physics = optional("deepinv.physics")
    size, step = scene.grid.shape[0], scene.grid.spacing[0]
    given = scene.geometry
    if physics is None or not isinstance(given.angles, Arc):
        return None
    arc = given.angles
    diagonal = math.ceil(math.sqrt(2) * size)
    half = step * (diagonal % 2 - size % 2) / 2
    geometry: Geometry
    options: dict[str, Any] = {}
    if isinstance(given, FanBeam):
        geometry = FanBeam(
            Arc(-math.pi / 2 - arc.first, -arc.step, arc.count),
            given.n_bins,
            given.spacing,
            given.source_distance,
            given.detector_distance,
        )
        options = {"fan_beam": True, "fan_parameters": {"pixel_spacing": step, "n_detector_pixels": given.n_bins}}
        options["fan_parameters"] |= {"detector_spacing": given.spacing, "source_radius": given.source_distance}
        options["fan_parameters"] |= {"detector_radius": given.detector_distance}
    else:
        geometry = ParallelBeam(Arc(-arc.first, -arc.step, arc.count), diagonal, step)
    flip = -1 if isinstance(given, FanBeam) else 1
    degrees = torch.tensor(np.rad2deg(list(arc)), dtype=torch.float32)
    A = physics.Tomography(degrees, size, normalize=False, parallel_computation=False, **options)
    x = torch.from_numpy(scene.images())[:, None]
    sinograms = scene.sinograms(geometry, half)[..., ::flip] / np.float32(step)
    y = torch.from_numpy(np.ascontiguousarray(sinograms.swapaxes(-1, -2)))[:, None, None]
    return Peer(
        "DeepInverse",
        {
            "forward": Call(lambda: A.A(x), lambda y: y[:, 0].mT.numpy()[..., ::flip] * step),
            "adjoint": Call(
                lambda: [A.A_adjoint(each) for each in y], lambda x: torch.cat(x)[:, 0].detach().numpy() * step**2
            ),
            "fbp": Call(lambda: [A.fbp(each) for each in y], lambda x: torch.cat(x)[:, 0].detach().numpy()),
        },
        geometry,
        half,
    )


PEERS = (astra, rtk, scikit_image, deep_inverse)
