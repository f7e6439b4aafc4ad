"""What a scan's header says: parse and write ISMRMRD XML, and settle matrix, oversampling and padding from it.

A header names its axes (x, y, z) = (readout, phase, partition). In a k-space slice `(coil, ky, kx)` the readout runs
along ky and the phase encoding along kx: header x is image y, header y is image x.
"""

from dataclasses import dataclass
from xml.etree import ElementTree

__all__ = [
    "SAME_MATRIX",
    "EncodingLimits",
    "FastMRIHeader",
    "ScanGeometry",
    "finer_pixels",
    "make_header",
    "parse_header",
    "scan_geometry",
    "write_header",
]

NAMESPACE = "http://www.ismrm.org/ISMRMRD"
OVERSAMPLED_SHAPE = 1.3  # without a header: ky this much longer than kx may mean a readout oversampled twice
SAME_MATRIX = 0.05  # by which the fields of view may differ from the matrix: k-space is padded, fields are rounded


@dataclass(frozen=True)
class EncodingLimits:
    """The lines, or samples of a readout, that the scanner counted: first, last, and the one at the center of k-space."""

    minimum: int
    maximum: int
    center: int


@dataclass(frozen=True)
class FastMRIHeader:
    """The part of an ISMRMRD header that a reconstruction needs; `limits` are those of the phase encoding.

    Triples run (readout, phase, partition), which is (y, x, z) of the image; lengths are in millimeters, the field
    strength in tesla.
    """

    encoded_matrix: tuple[int, int, int]
    recon_matrix: tuple[int, int, int]
    encoded_fov: tuple[float, float, float] | None = None
    recon_fov: tuple[float, float, float] | None = None
    limits: EncodingLimits | None = None
    acquisition: str = ""
    patient_id: str = ""
    field_strength: float | None = None
    readout_limits: EncodingLimits | None = None


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


def make_header(
    kspace: tuple[int, int],
    matrix: tuple[int, int],
    *,
    pixel: float = 1.0,
    thickness: float = 5.0,
    padding: tuple[int, int] | None = None,
    acquisition: str = "",
    patient_id: str = "",
) -> FastMRIHeader:
    """Return the header of k-space of shape (ky, kx), of square pixels in mm, the image cropped to `matrix` (y, x).

    Raises
    ------
    ValueError
        If the matrix is larger than k-space, or the padding (left, right) leaves it or leaves out its center line.
    """
    (ky, kx), (left, right) = kspace, padding or (0, kspace[1])
    if not (0 < matrix[0] <= ky and 0 < matrix[1] <= kx):
        raise ValueError(f"make_header takes a matrix within k-space {kspace}, got {matrix}")
    if not 0 <= left <= kx // 2 < right <= kx:
        raise ValueError(f"make_header takes a padding with 0 <= left <= {kx // 2} < right <= {kx}, got {padding}")
    return FastMRIHeader(
        encoded_matrix=(ky, kx, 1),
        recon_matrix=(*matrix, 1),
        encoded_fov=(ky * pixel, kx * pixel, thickness),
        recon_fov=(matrix[0] * pixel, matrix[1] * pixel, thickness),
        limits=EncodingLimits(minimum=0, maximum=right - left - 1, center=kx // 2 - left),
        acquisition=acquisition,
        patient_id=patient_id,
    )


def parse_header(xml: str | bytes, kspace: tuple[int, int] | None = None) -> FastMRIHeader:
    """Read an ISMRMRD header, whatever its namespace; of several encodings the one that fits `kspace` (ky, kx), else the first.

    Raises
    ------
    ValueError
        If the text is not XML, declares a document type, or lacks the encoded or the reconstructed matrix.

    References
    ----------
    Inati et al., ISMRM Raw Data format, Magnetic Resonance in Medicine 77, 2017.
    """
    text = xml.decode("utf-8", "replace") if isinstance(xml, bytes) else xml
    if "<!DOCTYPE" in text:
        raise ValueError("it declares a document type, which no ISMRMRD header does")
    try:
        root = ElementTree.fromstring(text.strip("\0 \r\n\t"))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(f"it is not XML ({error})") from error
    _keep_encoding(root, kspace)
    encoded, recon = _matrix(root, "encodedSpace"), _matrix(root, "reconSpace")
    if encoded is None or recon is None:
        which = "encodedSpace" if encoded is None else "reconSpace"
        raise ValueError(f"encoding/{which}/matrixSize is missing, or not three whole numbers, x and y above zero")
    return FastMRIHeader(
        encoded_matrix=encoded,
        recon_matrix=recon,
        encoded_fov=_triple(root, "encodedSpace", "fieldOfView_mm"),
        recon_fov=_triple(root, "reconSpace", "fieldOfView_mm"),
        limits=_limits(root, 1),
        readout_limits=_limits(root, 0),
        acquisition=_text(root, "measurementInformation", "protocolName"),
        patient_id=_text(root, "subjectInformation", "patientID"),
        field_strength=_number(_text(root, "acquisitionSystemInformation", "systemFieldStrength_T")),
    )


def write_header(header: FastMRIHeader) -> str:
    """Return the ISMRMRD XML of a header: `parse_header(write_header(header)) == header`."""
    ElementTree.register_namespace("", NAMESPACE)
    root = ElementTree.Element(f"{{{NAMESPACE}}}ismrmrdHeader")

    def put(value: object, *path: str) -> None:
        place = root
        for name in path:
            found = place.find(f"{{{NAMESPACE}}}{name}")
            place = ElementTree.SubElement(place, f"{{{NAMESPACE}}}{name}") if found is None else found
        place.text = str(value)

    if header.patient_id:
        put(header.patient_id, "subjectInformation", "patientID")
    if header.acquisition:
        put(header.acquisition, "measurementInformation", "protocolName")
    if header.field_strength is not None:
        put(header.field_strength, "acquisitionSystemInformation", "systemFieldStrength_T")
    spaces = (
        ("encodedSpace", header.encoded_matrix, header.encoded_fov),
        ("reconSpace", header.recon_matrix, header.recon_fov),
    )
    for space, matrix, fov in spaces:
        for axis, size in zip("xyz", matrix, strict=True):
            put(size, "encoding", space, "matrixSize", axis)
        for axis, length in zip("xyz", fov or (), strict=fov is not None):
            put(length, "encoding", space, "fieldOfView_mm", axis)
    for step, limits in enumerate((header.readout_limits, header.limits)):
        for name in ("minimum", "maximum", "center") if limits else ():
            put(getattr(limits, name), "encoding", "encodingLimits", f"kspace_encoding_step_{step}", name)
    put("cartesian", "encoding", "trajectory")
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False)


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


def _keep_encoding(root: ElementTree.Element, kspace: tuple[int, int] | None) -> None:
    """Leave one encoding of several: that whose matrix is nearest to k-space, along the readout first."""
    encodings = [element for element in root if element.tag.rpartition("}")[2] == "encoding"]
    if kspace is None or len(encodings) < 2:
        return

    def misfit(element: ElementTree.Element) -> tuple[float, float]:
        sizes = (_number(_text(element, "encodedSpace", "matrixSize", axis)) or 0.0 for axis in "xy")
        off = [abs(size - n) for size, n in zip(sizes, kspace, strict=True)]
        return off[0], off[1]

    best = min(encodings, key=misfit)
    for element in encodings:
        if element is not best:
            root.remove(element)


def _text(root: ElementTree.Element, *path: str) -> str:
    """Return the text of the first element at a path of names, in any namespace; empty where there is none."""
    place: ElementTree.Element | None = root
    for name in path:
        place = None if place is None else next((e for e in place if e.tag.rpartition("}")[2] == name), None)
    return "" if place is None or place.text is None else place.text.strip()


def _triple(root: ElementTree.Element, space: str, size: str) -> tuple[float, float, float] | None:
    x, y, z = (_number(_text(root, "encoding", space, size, axis)) for axis in "xyz")
    return None if x is None or y is None or z is None else (x, y, z)


def _matrix(root: ElementTree.Element, space: str) -> tuple[int, int, int] | None:
    sizes = _triple(root, space, "matrixSize")
    if sizes is None or not all(size.is_integer() for size in sizes) or min(sizes[:2]) < 1:
        return None
    return int(sizes[0]), int(sizes[1]), int(sizes[2])


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _limits(root: ElementTree.Element, step: int) -> EncodingLimits | None:
    place = "encoding", "encodingLimits", f"kspace_encoding_step_{step}"
    minimum, maximum, center = (_text(root, *place, name) for name in ("minimum", "maximum", "center"))
    try:
        return EncodingLimits(int(minimum or 0), int(maximum), int(center))
    except ValueError:
        return None
