"""One line a reconstructor, classical or learned, gives it all of its contract tests (`tests/contracts/promises.py`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from medrecon.config import LearnedSettings
from medrecon.config.methods import (
    MoDLMethodSettings,
    PrimalDualMethodSettings,
    UNetMethodSettings,
    VarNetMethodSettings,
)
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import (
    AutomaticWeight,
    DiffusionSampler,
    FilteredBackprojection,
    Grappa,
    NonnegativeTotalVariation,
    PlugAndPlay,
    PoissonTotalVariation,
    RootSumOfSquares,
    Sense,
    Sirt,
    Tikhonov,
    TotalVariation,
    WaveletSparsity,
    ZeroFilled,
)
from medrecon.weights.card import DataDescription, make_card, write_weights
from medrecon.weights.networks import build_network
from tests.denoisers import HaarShrinkage
from tests.methods import Modality, build
from tests.problems import Case, coil_images, ct, map_sets, mri
from tests.training.runs import TINY, settings

MRI = partial(mri, (24, 20), noise=0.02)
SETS = partial(map_sets, (24, 20), noise=0.02)
COILS = partial(coil_images, (24, 20), noise=0.02)
PARALLEL = partial(ct, (20, 18), views=30, noise=0.4, level=0.02)
FAN = partial(PARALLEL, fan=True)

_ZERO_FILLING = {"beats zero filling": "it is zero filling"}
_CHANNELS = "a network takes real and imaginary parts as channels"
_PRECISION = dict.fromkeys(
    ("keeps double precision", "single precision suffices"), "trained weights are of single precision"
)
_CONDITION = {
    "single precision suffices": "conjugate gradients on line integrals amplify rounding: the images differ by 1 %"
}
_COUNTS = {"follows the unit": "line integrals are logarithms of counts: their unit is given"}


def learned(method: type[LearnedSettings], modality: Modality) -> Callable[[], Reconstructor]:
    return lambda: build(method(), modality)


def untrained(method: type[LearnedSettings], modality: Modality, **network: Any) -> Callable[[], Reconstructor]:
    """The method with weights of a small network that has learned nothing, for want of any that come with the package."""

    def make() -> Reconstructor:
        stated = settings(TINY, network=network)
        with torch.random.fork_rng(), TemporaryDirectory() as folder:
            torch.manual_seed(3)
            weights = build_network(stated.network, "sense").state_dict()
            card = make_card(
                stated.model_dump(mode="json"),
                operator="sense",
                normalization="",
                split="",
                data=DataDescription("", "", ""),
            )
            write_weights(Path(folder) / "untrained.safetensors", weights, card)
            return build(method(weights=str(Path(folder) / "untrained.safetensors")), modality)

    return make


RECONSTRUCTORS: dict[str, Case] = {
    "zero-filled": Case(build=ZeroFilled, scan=MRI, exempt=_ZERO_FILLING),
    "zero-filled, coil images": Case(build=ZeroFilled, scan=COILS, exempt=_ZERO_FILLING),
    "root sum of squares": Case(
        build=RootSumOfSquares,
        scan=MRI,
        magnitude=True,
        refuses=(FAN, "RootSumOfSquares needs an operator with one Fourier in it, got Radon"),
        exempt={"beats zero filling": "it is zero filling that knows no maps"},
    ),
    "root sum of squares, coil images": Case(build=RootSumOfSquares, scan=COILS, magnitude=True, exempt=_ZERO_FILLING),
    "grappa": Case(
        build=Grappa,
        scan=MRI,
        magnitude=True,
        refuses=(FAN, "Grappa needs an operator with one Mask in it, got Radon"),
    ),
    "grappa, coil images": Case(build=Grappa, scan=COILS, magnitude=True),
    "zero-filled, two sets of maps": Case(build=ZeroFilled, scan=SETS, exempt=_ZERO_FILLING),
    "sense": Case(build=Sense, scan=MRI),
    "sense, two sets of maps": Case(build=Sense, scan=SETS),
    "sense, of line integrals": Case(build=Sense, scan=PARALLEL, exempt=_CONDITION),
    "wavelet sparsity": Case(build=partial(WaveletSparsity, iterations=20), scan=MRI),
    "wavelet sparsity, two sets of maps": Case(build=partial(WaveletSparsity, iterations=20), scan=SETS),
    "wavelet sparsity, of line integrals": Case(
        build=partial(WaveletSparsity, iterations=20),
        scan=PARALLEL,
        exempt={
            "beats zero filling": "steps are short where the norm is far above most singular values: 20 are too few"
        },
    ),
    "plug-and-play": Case(build=lambda: PlugAndPlay(HaarShrinkage(), steps=3), scan=MRI),
    "plug-and-play, two sets of maps": Case(build=lambda: PlugAndPlay(HaarShrinkage(), steps=3), scan=SETS),
    "plug-and-play, of line integrals": Case(
        build=lambda: PlugAndPlay(HaarShrinkage(), steps=3), scan=PARALLEL, exempt=_COUNTS
    ),
    "diffusion": Case(
        build=lambda: DiffusionSampler(HaarShrinkage(), steps=6, samples=4),
        scan=MRI,
        exempt={
            "follows the phase": "what is drawn has the phase that it is drawn with",
            "beats zero filling": "four draws by a denoiser that knows little of images spread more widely than they are right",
        },
    ),
    "diffusion, of line integrals": Case(
        build=lambda: DiffusionSampler(HaarShrinkage(), steps=6, samples=4), scan=FAN, exempt=_COUNTS
    ),
    "total variation": Case(build=partial(TotalVariation, iterations=8), scan=MRI),
    "total variation, two sets of maps": Case(build=partial(TotalVariation, iterations=8), scan=SETS),
    "total variation, two sets of maps, automatic weight": Case(
        build=lambda: AutomaticWeight(TotalVariation(iterations=8)), scan=SETS
    ),
    "total variation, of line integrals": Case(
        build=partial(TotalVariation, iterations=8), scan=FAN, exempt=_CONDITION
    ),
    "total variation, automatic weight": Case(build=lambda: AutomaticWeight(TotalVariation(iterations=8)), scan=MRI),
    "nonnegative total variation, automatic weight": Case(
        build=lambda: AutomaticWeight(NonnegativeTotalVariation()), scan=FAN
    ),
    "filtered backprojection": Case(
        build=FilteredBackprojection,
        scan=PARALLEL,
        refuses=(MRI, "FilteredBackprojection inverts a Radon transform alone"),
    ),
    "filtered backprojection, fan": Case(
        build=FilteredBackprojection,
        scan=FAN,
        refuses=(COILS, "FilteredBackprojection inverts a Radon transform alone"),
    ),
    "sirt": Case(build=Sirt, scan=PARALLEL, refuses=(MRI, "Sirt takes")),
    "sirt, fan": Case(build=Sirt, scan=FAN),
    "tikhonov": Case(build=Tikhonov, scan=PARALLEL, refuses=(MRI, "Tikhonov takes")),
    "tikhonov, fan": Case(build=Tikhonov, scan=FAN),
    "nonnegative total variation": Case(
        build=NonnegativeTotalVariation, scan=PARALLEL, refuses=(MRI, "NonnegativeTotalVariation takes")
    ),
    "nonnegative total variation, fan": Case(build=NonnegativeTotalVariation, scan=FAN),
    "poisson total variation": Case(
        build=PoissonTotalVariation, scan=PARALLEL, refuses=(MRI, "PoissonTotalVariation takes"), exempt=_COUNTS
    ),
    "poisson total variation, fan, photons known": Case(
        build=partial(PoissonTotalVariation, photons=1e4), scan=FAN, exempt=_COUNTS
    ),
    "u-net": Case(
        build=learned(UNetMethodSettings, Modality.MRI),
        scan=MRI,
        magnitude=True,
        refuses=(PARALLEL, "NormalizedUNet of 2"),
        exempt=_PRECISION | {"follows the phase": _CHANNELS},
    ),
    "u-net, two sets of maps": Case(
        build=learned(UNetMethodSettings, Modality.MRI),
        scan=SETS,
        magnitude=True,
        exempt=_PRECISION | {"follows the phase": _CHANNELS},
    ),
    "varnet, two sets of maps": Case(
        build=learned(VarNetMethodSettings, Modality.MRI),
        scan=SETS,
        magnitude=True,
        exempt=_PRECISION | {"follows the phase": _CHANNELS},
    ),
    "modl, two sets of maps": Case(
        build=untrained(MoDLMethodSettings, Modality.MRI, kind="modl", iterations=2, features=4, pools=2),
        scan=SETS,
        exempt=_PRECISION | {"follows the phase": _CHANNELS},
    ),
    "u-net, of line integrals": Case(
        build=learned(UNetMethodSettings, Modality.CT),
        scan=PARALLEL,
        refuses=(MRI, "FilteredBackprojection inverts a Radon transform alone"),
        exempt=_PRECISION,
    ),
    "varnet": Case(
        build=learned(VarNetMethodSettings, Modality.MRI),
        scan=MRI,
        magnitude=True,
        refuses=(PARALLEL, "NormalizedUNet of 2"),
        exempt=_PRECISION | {"follows the phase": _CHANNELS},
    ),
    "modl": Case(
        build=untrained(MoDLMethodSettings, Modality.MRI, kind="modl", iterations=2, features=4, pools=2),
        scan=MRI,
        refuses=(PARALLEL, "NormalizedUNet of 2"),
        exempt=_PRECISION | {"follows the phase": _CHANNELS},
    ),
    "learned primal-dual": Case(
        build=learned(PrimalDualMethodSettings, Modality.CT),
        scan=FAN,
        refuses=(MRI, "LearnedPrimalDual with n_channels=1 takes an operator between real spaces"),
        exempt=_PRECISION
        | {
            "follows the unit": "nothing is normalized but the operator: the unit is that of the training",
            "nothing comes of nothing": "its convolutions have biases",
        },
    ),
}
