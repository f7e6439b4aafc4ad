"""What a machine has for medrecon: versions, threads, GPU, optional packages."""

import os
import platform
import shutil
import sys
from importlib import metadata

__all__ = ["REQUIRED", "examine"]

#: The dependencies of medrecon, as `pyproject.toml` names them.
REQUIRED = (
    *("torch", "numpy", "h5py", "PyWavelets", "numba", "pydicom", "nibabel", "scipy", "matplotlib", "typer", "rich"),
    *(
        "pydantic",
        "PyYAML",
        "platformdirs",
        "lazy_loader",
        "accelerate",
        "safetensors",
        "tifffile",
        "tensorboard",
        "distributed",
    ),
)
_OPTIONAL = (
    ("triton", "needed for CT on a GPU; comes with PyTorch for CUDA"),
    ("pylibjpeg", "compressed DICOM; pip install medrecon[dicom]"),
    ("lpips", "`lpips` in benchmarks"),
    ("sigpy", "compared with in tests and benchmarks"),
    ("fastmri", "compared with in tests and benchmarks"),
)


def examine() -> list[tuple[str, str]]:
    """Return what was found, as pairs of words."""
    import torch

    from medrecon._version import __version__
    from medrecon.data.sets.cache import cache_root

    rows = [
        ("medrecon", __version__),
        ("python", f"{platform.python_version()} ({sys.executable})"),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
    ]
    rows += [(name, _version(name) or "missing: install medrecon again") for name in REQUIRED]
    rows.append(("threads", f"{torch.get_num_threads()} of {os.cpu_count()} processors"))
    rows.append(("GPU", _gpu()))
    rows += [(name, _version(name) or f"not installed; {use}") for name, use in _OPTIONAL]
    rows.append(("bart", shutil.which("bart") or "not installed; compared with in benchmarks"))
    root = cache_root()
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    rows.append(("data folder", f"{root} ({shutil.disk_usage(place).free / 1e9:.1f} GB free)"))
    return rows


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        return "none that PyTorch can use"
    names = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return (
        ", ".join(f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB" for gpu in names) + f", CUDA {torch.version.cuda}"
    )
