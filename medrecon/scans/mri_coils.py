"""Into how many virtual coils a method gets those of a scan, and what is told of that."""

from __future__ import annotations

from medrecon.calibration import VirtualCoils
from medrecon.config.mri import MRIAcquisition
from medrecon.data.mri.kspace_files import KSpaceFile
from medrecon.errors import InputError
from medrecon.problem import Problem
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import RootSumOfSquares
from medrecon.results import Facts
from medrecon.weights.learned import LearnedReconstructor

__all__ = ["coil_facts", "coil_notes", "require_coils", "virtual_coils"]

MUCH = 0.01  # of the signal, of which it is told that it is lost


def require_coils(file: KSpaceFile, acquisition: MRIAcquisition) -> None:
    """Refuse more virtual coils than there are coils.

    Raises
    ------
    InputError
        naming the file.
    """
    asked, there = acquisition.coils, file.shape[1]
    if isinstance(asked, int) and asked > there:
        raise InputError(f"{file.path}: has {there} coils, and --coils asks for {asked}; take fewer, or all")


def virtual_coils(acquisition: MRIAcquisition, reconstruct: Reconstructor) -> VirtualCoils | None:
    """The rule by which coils are compressed for a method: unless asked for, never for networks or the root sum of squares.

    Networks are to get what they were trained with, and a root sum of squares of all coils is what targets are.
    """
    if isinstance(acquisition.coils, int):
        return VirtualCoils(count=acquisition.coils)
    if acquisition.coils == "all" or isinstance(reconstruct, LearnedReconstructor | RootSumOfSquares):
        return None
    return VirtualCoils()


def coil_notes(problem: Problem, acquisition: MRIAcquisition, reconstruct: Reconstructor) -> tuple[str, ...]:
    """Say that coils were compressed, and what that means; of every slice in the same words, where it is the same."""
    compression = problem.compression
    if compression is None:
        return ()
    n_coils, rule = compression.matrix.shape[1], virtual_coils(acquisition, reconstruct)
    if rule is None or rule.count is None:
        most = VirtualCoils().lost
        return (
            f"{n_coils} coils are compressed into virtual ones, which hold all but {most:.2%} of the signal of the "
            "calibration lines; --coils all takes all",
        )
    told = f"{n_coils} coils are compressed into {rule.count}, as --coils asks"
    if compression.lost > MUCH:
        told += f", which loses more than {MUCH:.0%} of the signal"
    if isinstance(reconstruct, LearnedReconstructor):
        told += "; the network was trained with coils that were not compressed"
    return (told,)


def coil_facts(problem: Problem) -> Facts:
    """How many coils there are, and virtual ones, of which those that measured nothing do not count."""
    compression = problem.compression
    if compression is None:
        return {}
    virtual, n_coils = compression.matrix.shape
    return {"coils": n_coils, "virtual_coils": virtual, "signal_lost": compression.lost}
