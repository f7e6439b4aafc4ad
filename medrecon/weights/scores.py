"""How good trained weights were found, and by which protocol."""

from __future__ import annotations

from dataclasses import dataclass

from medrecon.evaluation import LODOPAB_PROTOCOL, PROTOCOL

__all__ = ["DENOISING_PROTOCOL", "SLICES_PROTOCOL", "Interval", "Scores", "protocol_of"]

#: fastMRI's range, the maximum of the volume's target (of the slice's, where a file does not state it), for each slice; means over
#: slices, and not figures of whole volumes.
SLICES_PROTOCOL = f"{PROTOCOL} (means over slices)"

#: The maximum of each crop is its range.
DENOISING_PROTOCOL = "denoising-v1 (means over crops and levels of noise)"

Interval = tuple[float, float]
"""The 95 % interval of a mean."""


@dataclass(frozen=True)
class Scores:
    """Means over the samples; PSNR and SSIM with the `data_range` that the data set states, as `protocol_of` names them.

    The intervals are those of resampled images, as if slices of a volume were independent, and all masks of a slice together;
    None for a single image, or one without error.
    """

    loss: float
    psnr: float
    ssim: float
    samples: int
    psnr_interval: Interval | None = None
    ssim_interval: Interval | None = None


def protocol_of(operator: str) -> str:
    """The protocol of the scores of networks on these operators, as the card of weights names them: "radon" for CT, else MRI."""
    if operator == "denoising":
        return DENOISING_PROTOCOL
    return LODOPAB_PROTOCOL if operator == "radon" else SLICES_PROTOCOL
