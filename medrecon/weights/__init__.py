"""Trained weights."""

from medrecon.weights.learned import LearnedReconstructor, load

__all__ = ["LearnedReconstructor", "load"]
