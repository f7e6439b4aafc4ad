"""How k-space slices become images: matrix, oversampling and padding, settled from a header and the shape of a target."""

from dataclasses import dataclass

from medrecon.data.mri.fastmri_header import FastMRIHeader

__all__ = ["OVERSAMPLED_SHAPE", "ScanGeometry", "finer_pixels", "scan_geometry"]

OVERSAMPLED_SHAPE = 1.3  # without a header: ky this much longer than kx may mean a readout oversampled twice
SAME_MATRIX = 0.05  # by which the fields of view may differ from the matrix: k-space is padded, fields are rounded


@dataclass(frozen=True)
class ScanGeometry:
    """How k-space slices become images: the matrix (y, x) to crop to, and what was assumed on the way.

    `oversampling` is that of the readout, along ky. `padding` is (left, right): the scanner acquired the lines
    left <= kx < right only; None where nothing says so.
    """

    matrix: tuple[int, int]
    oversampling: float
    padding: tuple[int, int] | None
    notes: tuple[str, ...] = ()


def scan_geometry(
    kspace: tuple[int, int],
    header: FastMRIHeader | None,
    target: tuple[int, int] | None,
    *,
    is_oversampled: bool = False,
) -> ScanGeometry:
    """Settle matrix, oversampling and padding of slices of shape (ky, kx) from a header and the shape of a target.

    The target's shape comes first, then the header's reconstructed matrix and fields of view; without either the image is as
    large as k-space, but for a readout of which the data say that it `is_oversampled` twice. Whatever had to be assumed is said
    in `notes`. The padding is that of the package fastMRI, with the center line at kx // 2:
    left = kx // 2 - center, right = left + maximum + 1.
    """
    notes: list[str] = []
    if target is not None:
        matrix = min(target[0], kspace[0]), min(target[1], kspace[1])
        if matrix != target:
            notes.append(f"the target {target} is larger than k-space {kspace}: both are cropped to {matrix}")
        if header is not None and header.recon_matrix[:2] != target:
            notes.append(
                f"the target is {target}, the header says {header.recon_matrix[:2]}: the target's size is taken"
            )
    elif header is not None:
        matrix = _fitting_matrix(kspace, header, notes)
    elif is_oversampled:
        matrix = kspace[0] // 2, kspace[1]
        notes.append(
            "no header, no target: the outer quarters of the readout hold no signal, it is taken as oversampled 2x, the image as "
            f"{matrix}"
        )
    else:
        matrix = kspace
        notes.append(f"no header, no target: the image is taken to be as large as k-space, {matrix}")
    if header is None and target is not None:
        notes.append(f"no header: the image's size {matrix} is the target's")
    oversampling = _oversampling(kspace[0], matrix[0], header)
    if header is not None and not (header.encoded_fov and header.recon_fov) and oversampling not in (1, 2):
        notes.append(f"no field of view in the header: oversampling {oversampling:g} is {kspace[0]} over {matrix[0]}")
    return ScanGeometry(matrix, oversampling, _padding(kspace, header, notes), tuple(notes))


def _fitting_matrix(kspace: tuple[int, int], header: FastMRIHeader, notes: list[str]) -> tuple[int, int]:
    """Return the header's matrix; where it is on another grid than k-space, what the fields of view leave of k-space."""
    sizes = [_kept(header, axis, kspace[axis]) for axis in (0, 1)]
    matrix = sizes[0], sizes[1]
    is_finer = any(finer_pixels(header, axis, kspace[axis]) for axis in (0, 1))
    if matrix != header.recon_matrix[:2] and not is_finer:
        larger = any(wanted > size for wanted, size in zip(header.recon_matrix, kspace, strict=False))
        reason = f"is larger than k-space {kspace}" if larger else "has other pixels than its fields of view"
        notes.append(f"the header's matrix {header.recon_matrix[:2]} {reason}: {matrix} is taken")
    return matrix


def finer_pixels(header: FastMRIHeader, axis: int, available: int) -> int | None:
    """How many pixels the header asks for along an axis, where they are finer than those of so many samples of k-space, else None.

    They cover the reconstructed field, as far as it lies within the encoded one. K-space that is not of the encoded matrix is not
    what the header speaks of.
    """
    if header.encoded_matrix[axis] != available:
        return None
    if not (header.encoded_fov and header.recon_fov) or min(header.encoded_fov[axis], header.recon_fov[axis]) <= 0:
        return None
    encoded, recon, matrix = header.encoded_fov[axis], header.recon_fov[axis], header.recon_matrix[axis]
    is_finer = recon / matrix < (1 - SAME_MATRIX) * encoded / available
    return round(matrix * min(1.0, encoded / recon)) if is_finer else None


def _kept(header: FastMRIHeader, axis: int, available: int) -> int:
    """How many of the pixels along an axis the reconstructed field holds, which is the header's matrix, rounding aside."""
    wanted = header.recon_matrix[axis]
    by_field = available
    if header.encoded_fov and header.recon_fov and min(header.encoded_fov[axis], header.recon_fov[axis]) > 0:
        by_field = max(1, round(available * min(1.0, header.recon_fov[axis] / header.encoded_fov[axis])))
    elif wanted <= available:
        return wanted
    return wanted if wanted <= available and abs(wanted - by_field) <= max(1.0, SAME_MATRIX * wanted) else by_field


def _oversampling(ky: int, y: int, header: FastMRIHeader | None) -> float:
    if header is not None and header.encoded_fov and header.recon_fov and header.recon_fov[0] > 0:
        ratio = header.encoded_fov[0] / header.recon_fov[0]
        if ratio >= 1 and round(ky / ratio) >= y:
            return ratio
    return ky / y


def _padding(kspace: tuple[int, int], header: FastMRIHeader | None, notes: list[str]) -> tuple[int, int] | None:
    if header is None or header.limits is None:
        return None
    if header.encoded_matrix[:2] != kspace:
        notes.append(
            f"the header's encoded matrix is {header.encoded_matrix[:2]}, k-space is {kspace}: its size is taken"
        )
    start = kspace[1] // 2 - header.limits.center
    left, right = max(0, start), min(kspace[1], start + header.limits.maximum + 1)
    if not left <= kspace[1] // 2 < right:
        notes.append(f"the header's encoding limits {header.limits} leave out the center of k-space: they are not used")
        return None
    return left, right
