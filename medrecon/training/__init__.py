"""Training: one loop for every network, its losses, and checkpoints."""

from medrecon.networks.data_normalization import AdjointMaximum, Constant
from medrecon.training.cost import estimate_cost
from medrecon.training.failures import TrainingStoppedError
from medrecon.training.loop import train
from medrecon.training.losses import L1Loss, MSELoss, SSIMLoss, WeightedSum
from medrecon.training.samples import Sample, TrainingSet, collate, make_sample
from medrecon.training.schedules import ConstantRate, CosineRate, StepRate
from medrecon.training.state import RunFolder
from medrecon.training.task import Recipe, Task
from medrecon.training.validation import validate
from medrecon.weights.card import DataDescription, copy_weights, describe_manifest, make_card, record_scores
from medrecon.weights.checkpoint import load_into, read_checkpoint, read_metadata
from medrecon.weights.scores import Scores

__all__ = [
    "AdjointMaximum",
    "Constant",
    "ConstantRate",
    "CosineRate",
    "DataDescription",
    "L1Loss",
    "MSELoss",
    "Recipe",
    "RunFolder",
    "SSIMLoss",
    "Sample",
    "Scores",
    "StepRate",
    "Task",
    "TrainingSet",
    "TrainingStoppedError",
    "WeightedSum",
    "collate",
    "copy_weights",
    "describe_manifest",
    "estimate_cost",
    "load_into",
    "make_card",
    "make_sample",
    "read_checkpoint",
    "read_metadata",
    "record_scores",
    "train",
    "validate",
]
