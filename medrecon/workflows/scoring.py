"""Trained weights on samples that they have never seen."""

from __future__ import annotations

from pathlib import Path

from medrecon.config.training_data import (
    DenoisingData,
    DrawnCTData,
    DrawnMRIData,
    FastMRIData,
    LoDoPaBData,
    PhantomCTData,
    PhantomMRIData,
)
from medrecon.device import DeviceName
from medrecon.errors import InputError
from medrecon.training.validation import validate
from medrecon.weights.networks import load_network, read_card
from medrecon.weights.scores import Scores, protocol_of
from medrecon.workflows.training import build_loss, open_accelerator
from medrecon.workflows.training_data import build_held_set, was_trained_on

__all__ = ["score_weights"]


def score_weights(
    path: Path,
    part: str,
    *,
    folder: Path | None = None,
    device: DeviceName | None = None,
    allow_external: bool = False,
) -> tuple[Scores, str]:
    """Score weights on a part of the data set of their training, with its masks or its dose; and say by which protocol.

    Parameters
    ----------
    path
        of a file of weights with its card.
    part
        "validation" or "test"; of fastMRI's files a folder, such as "multicoil_val".
    folder
        that holds the data set, where it is neither where it was in training nor where medrecon puts it.
    device
        None takes a GPU if there is one.
    allow_external
        whether files of the data set may lead to others; what the card says of it does not count.

    Raises
    ------
    InputError
        If the file cannot be used or was imported, data are missing, or part of them was trained on.
    """
    card, settings = read_card(path)
    if "imported" in card:
        raise InputError(
            f"{path}: was imported, and does not say its data and masks; "
            "score it by `medrecon benchmark`, or by `medrecon reconstruct` of full scans"
        )
    data = settings.data
    if isinstance(data, DenoisingData | DrawnMRIData | DrawnCTData):
        if folder is not None:
            raise InputError("--folder: the weights were trained on images of several sets; leave it out")
    elif not isinstance(data, PhantomMRIData | PhantomCTData):
        known = data.folder if data.folder is not None and data.folder.is_dir() else None
        data = data.model_copy(update={"folder": folder or known})
    elif folder is not None:
        raise InputError("--folder: the weights were trained on random phantoms, which lie in none; leave it out")
    if was_trained_on(data, part):
        raise InputError(f"--part {part}: the weights were trained on it; take test")
    if isinstance(data, FastMRIData | LoDoPaBData):
        data = data.model_copy(update={"allow_external": allow_external})
    network, _ = load_network(path)
    accelerator = open_accelerator("fp32", device)
    samples = build_held_set(data, part, settings.training.seed)
    scores = validate(network.to(accelerator.device), build_loss(settings), samples, accelerator)
    return scores, protocol_of(card["operator"])
