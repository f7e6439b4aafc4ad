"""From files to files, whatever the scanner: what the commands call."""

from medrecon.workflows.methods import build_reconstructor
from medrecon.workflows.reconstruct import reconstruct_file
from medrecon.workflows.simulate import simulate_file

__all__ = ["build_reconstructor", "reconstruct_file", "simulate_file"]
