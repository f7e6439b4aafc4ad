"""Get data sets of which some are simulated: where files meet the physics that measures them."""

from pathlib import Path

from medrecon.data.sets.fetch import fetch
from medrecon.data.sets.lodopab_small import simulation_grid
from medrecon.data.sets.packages import Pip, run_pip
from medrecon.geometry import lodopab
from medrecon.operators import Radon
from medrecon.progress import Progress, silent

__all__ = ["prepare"]


def prepare(name: str, progress: Progress = silent, *, pip: Pip = run_pip, packed: Path | None = None) -> Path:
    """Get the data set `name` and return its folder: `medrecon.data.sets.fetch.fetch`, with the projector it may need.

    Raises
    ------
    InputError
        If it cannot be obtained; see `fetch`.
    """
    return fetch(name, progress, project=Radon(simulation_grid(), lodopab()), pip=pip, packed=packed)
