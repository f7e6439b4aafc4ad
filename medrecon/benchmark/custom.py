"""The user's own reconstructor in a benchmark, named by where it is imported from."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from medrecon.errors import InputError
from medrecon.operators import LinearOperator
from medrecon.reconstructor import Parameters, parameters_of

__all__ = ["CustomReconstructor", "custom_code", "load_custom"]


@dataclass(frozen=True, eq=False)
class CustomReconstructor:
    """A method `(y, A) -> x` of the user's, called `package.module:name`, whose images are looked at before they are scored."""

    name: str
    method: Any

    @property
    def stated_parameters(self) -> Parameters:
        """Where it is imported from, and its own parameters."""
        return {"import": self.name, **parameters_of(self.method)}

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        """The image `x` of `y`.

        Raises
        ------
        ValueError
            if it is no tensor, or of another shape than images of `A` with the leading axes of `y`.
        """
        x = self.method(y, A)
        if not isinstance(x, Tensor):
            raise ValueError(f"{self.name} is to give a tensor (y, x), and gave {type(x).__name__}")
        shape = (*y.shape[: y.ndim - A.range.ndim], *A.domain.shape)
        if tuple(x.shape) != shape:
            raise ValueError(f"{self.name} is to give images {shape}, and gave {tuple(x.shape)}")
        return x


_CHANGED: dict[str, int] = {}  # when the files of the modules had last changed as they were imported


def load_custom(name: str, device: torch.device) -> CustomReconstructor:
    """Import `package.module:name`: something that is called as `(y, A)`, or a class of such that takes no arguments.

    A `torch.nn.Module` is put on the device, ready to reconstruct. A module whose file has changed is imported anew, also by
    workers that outlive a benchmark.

    Raises
    ------
    InputError
        If it cannot be imported or made, or cannot be called.
    """
    module = _import(name, name.partition(":")[0])
    return _made(name, module, _changed(module), device)


@lru_cache(maxsize=64)
def _made(name: str, module: ModuleType, changed: int, device: torch.device) -> CustomReconstructor:  # noqa: ARG001
    attribute = name.partition(":")[2]
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InputError(f"import {name}: {module.__name__} has no {attribute}; write package.module:name")
        found = getattr(found, part)
    if isinstance(found, type):
        try:
            found = found()
        except Exception as error:
            raise InputError(f"import {name}: cannot be made without arguments ({_told(error)})") from error
    if not callable(found):
        raise InputError(f"import {name}: is a {type(found).__name__}; a method is called as x = method(y, A)")
    return CustomReconstructor(name, found.to(device).eval() if isinstance(found, nn.Module) else found)


def custom_code(name: str) -> Path | None:
    """The file of the module, which a changed method changes; None where there is none.

    Raises
    ------
    InputError
        If it cannot be imported.
    """
    return _file(_import(name, name.partition(":")[0]))


def _import(name: str, module: str) -> ModuleType:
    try:
        found = importlib.import_module(module)
        if _CHANGED.get(module, _changed(found)) != _changed(found):
            found = importlib.reload(found)
        _CHANGED[module] = _changed(found)
        return found
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise InputError(
                f"import {name}: there is no module {error.name} here ({Path.cwd()}) or among those installed; call medrecon "
                "from the folder that it lies in, or install it"
            ) from error
        raise InputError(f"import {name}: takes the module {error.name}, which is not installed") from error
    except Exception as error:
        sys.modules.pop(module, None)
        raise InputError(f"import {name}: {module} fails when it is imported ({_told(error)})") from error


def _file(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return None if file is None or not Path(file).is_file() else Path(file)


def _changed(module: ModuleType) -> int:
    file = _file(module)
    return 0 if file is None else file.stat().st_mtime_ns


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
