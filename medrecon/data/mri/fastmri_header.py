"""What a scan's header says: parse and write ISMRMRD XML.

A header names its axes (x, y, z) = (readout, phase, partition). In a k-space slice `(coil, ky, kx)` the readout runs
along ky and the phase encoding along kx: header x is image y, header y is image x.
"""

import math
from dataclasses import dataclass
from xml.etree import ElementTree

from medrecon.words import shortened

__all__ = [
    "EncodingLimits",
    "FastMRIHeader",
    "make_header",
    "parse_header",
    "text_of",
    "triple_of",
    "write_header",
    "xml_root",
]

NAMESPACE = "http://www.ismrm.org/ISMRMRD"
_LARGEST = 2**16  # samples, pixels or millimeters: more than any scanner has
_LONGEST_TEXT, _MOST_TAGS = 2**22, 100_000  # of an XML header: parsing takes many times its memory


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
        If the text is not XML, declares a document type, lacks the encoded or the reconstructed matrix, or states sizes that no
        scanner has.

    References
    ----------
    Inati et al., ISMRM Raw Data format, Magnetic Resonance in Medicine 77, 2017.
    """
    root = xml_root(xml)
    _keep_encoding(root, kspace)
    encoded, recon = _matrix(root, "encodedSpace"), _matrix(root, "reconSpace")
    if encoded is None or recon is None:
        which = "encodedSpace" if encoded is None else "reconSpace"
        raise ValueError(f"encoding/{which}/matrixSize is missing, or not three whole numbers, x and y above zero")
    return FastMRIHeader(
        encoded_matrix=encoded,
        recon_matrix=recon,
        encoded_fov=triple_of(root, "encoding", "encodedSpace", "fieldOfView_mm"),
        recon_fov=triple_of(root, "encoding", "reconSpace", "fieldOfView_mm"),
        limits=_limits(root, 1),
        readout_limits=_limits(root, 0),
        acquisition=text_of(root, "measurementInformation", "protocolName"),
        patient_id=text_of(root, "subjectInformation", "patientID"),
        field_strength=_finite(_number(text_of(root, "acquisitionSystemInformation", "systemFieldStrength_T"))),
    )


def xml_root(xml: str | bytes) -> ElementTree.Element:
    """The root of an ISMRMRD header.

    Raises
    ------
    ValueError
        If the text is not XML, declares a document type, or is far longer than any header.
    """
    text = xml.decode("utf-8", "replace") if isinstance(xml, bytes) else xml
    if len(text) > _LONGEST_TEXT or text.count("<") > _MOST_TAGS:
        raise ValueError(f"it has {len(text)} characters and {text.count('<')} tags, more than any ISMRMRD header")
    if "<!DOCTYPE" in text:
        raise ValueError("it declares a document type, which no ISMRMRD header does")
    try:
        return ElementTree.fromstring(text.strip("\0 \r\n\t"))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(f"it is not XML ({shortened(error)})") from error


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


def _keep_encoding(root: ElementTree.Element, kspace: tuple[int, int] | None) -> None:
    """Leave one encoding of several: that whose matrix is nearest to k-space, along the readout first."""
    encodings = [element for element in root if element.tag.rpartition("}")[2] == "encoding"]
    if kspace is None or len(encodings) < 2:
        return

    def misfit(element: ElementTree.Element) -> tuple[float, float]:
        sizes = (_number(text_of(element, "encodedSpace", "matrixSize", axis)) or 0.0 for axis in "xy")
        off = [abs(size - n) if math.isfinite(size) else math.inf for size, n in zip(sizes, kspace, strict=True)]
        return off[0], off[1]

    best = min(encodings, key=misfit)
    for element in encodings:
        if element is not best:
            root.remove(element)


def text_of(root: ElementTree.Element, *path: str) -> str:
    """Return the text of the first element at a path of names, in any namespace; empty where there is none."""
    place: ElementTree.Element | None = root
    for name in path:
        place = None if place is None else next((e for e in place if e.tag.rpartition("}")[2] == name), None)
    return "" if place is None or place.text is None else place.text.strip()


def triple_of(root: ElementTree.Element, *path: str) -> tuple[float, float, float] | None:
    """Return the numbers x, y and z of the element at a path of names; None where they are not there.

    Raises
    ------
    ValueError
        If they are beyond any scanner's.
    """
    texts = [text_of(root, *path, axis) for axis in "xyz"]
    x, y, z = map(_number, texts)
    if x is None or y is None or z is None:
        return None
    if not all(abs(number) <= _LARGEST for number in (x, y, z)):
        said = " x ".join(shortened(text, 24) for text in texts)
        raise ValueError(f"{'/'.join(path)} is {said}, beyond any scanner's")
    return x, y, z


def _matrix(root: ElementTree.Element, space: str) -> tuple[int, int, int] | None:
    sizes = triple_of(root, "encoding", space, "matrixSize")
    if sizes is None or not all(size.is_integer() for size in sizes) or min(sizes[:2]) < 1:
        return None
    return int(sizes[0]), int(sizes[1]), int(sizes[2])


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def _limits(root: ElementTree.Element, step: int) -> EncodingLimits | None:
    place = "encoding", "encodingLimits", f"kspace_encoding_step_{step}"
    minimum, maximum, center = (text_of(root, *place, name) for name in ("minimum", "maximum", "center"))
    try:
        limits = EncodingLimits(int(minimum or 0), int(maximum), int(center))
    except ValueError:
        return None
    if max(abs(limits.minimum), abs(limits.maximum), abs(limits.center)) > _LARGEST:
        raise ValueError(f"{'/'.join(place)} goes to {shortened(maximum, 24)}, beyond any scanner's")
    return limits
