"""Training: one loop for every network, its losses, and checkpoints."""

from medrecon.training.card import DataDescription, copy_weights, describe_manifest, make_card, record_scores
from medrecon.training.checkpoint import load_into, read_checkpoint, read_metadata
from medrecon.training.examples import AdjointMaximum, Constant, Example, Examples, collate, make_example
from medrecon.training.failures import TrainingStoppedError
from medrecon.training.loop import train
from medrecon.training.losses import L1Loss, MSELoss, SSIMLoss, WeightedSum
from medrecon.training.plan import make_plan
from medrecon.training.schedules import ConstantRate, CosineRate, StepRate
from medrecon.training.state import RunFolder
from medrecon.training.task import Recipe, Task
from medrecon.training.validation import Scores, validate

__all__ = [
    "AdjointMaximum",
    "Constant",
    "ConstantRate",
    "CosineRate",
    "DataDescription",
    "Example",
    "Examples",
    "L1Loss",
    "MSELoss",
    "Recipe",
    "RunFolder",
    "SSIMLoss",
    "Scores",
    "StepRate",
    "Task",
    "TrainingStoppedError",
    "WeightedSum",
    "collate",
    "copy_weights",
    "describe_manifest",
    "load_into",
    "make_card",
    "make_example",
    "make_plan",
    "read_checkpoint",
    "read_metadata",
    "record_scores",
    "train",
    "validate",
]
