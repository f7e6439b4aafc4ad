"""What a scanner says of a raw measurement: the XML header of ISMRMRD, read by names, as strict parsers fail on many files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.etree import ElementTree

from medrecon.data.mri.fastmri_header import EncodingLimits, FastMRIHeader, text_of, triple_of, xml_root

__all__ = ["Encoding", "RawHeader", "parse_raw_header"]

Triple = tuple[float, float, float]
_CARTESIAN = ("cartesian", "epi", "")
_LARGEST_MATRIX = 2**14


@dataclass(frozen=True)
class Encoding:
    """One encoding of a measurement: `(readout, phase, partition)` of matrices and fields of view in millimeters.

    `line_limits` and `partition_limits` count the steps of both phase encodings, with the step at the center of k-space; None where
    nothing is said. `trajectory` is a word, empty where nothing is said; with `has_ramps` samples were taken while its gradient
    rose and fell, too.
    """

    encoded_matrix: tuple[int, int, int]
    recon_matrix: tuple[int, int, int]
    encoded_fov: Triple | None = None
    recon_fov: Triple | None = None
    line_limits: EncodingLimits | None = None
    partition_limits: EncodingLimits | None = None
    trajectory: str = ""
    has_ramps: bool = False

    @property
    def is_cartesian(self) -> bool:
        """Whether readouts are lines of a grid."""
        return self.trajectory.lower() in _CARTESIAN


@dataclass(frozen=True)
class RawHeader:
    """What a scanner says; `bandwidth` is that of the noise, relative to its sampling rate, and None where it is not said."""

    encodings: tuple[Encoding, ...]
    vendor: str = ""
    acquisition: str = ""
    patient_id: str = ""
    patient_position: str = ""
    field_strength: float | None = None
    bandwidth: float | None = None

    @property
    def is_mirrored(self) -> bool:
        """Whether the directions of the vendor belong to a forward transform from k-space to the image.

        So it is for Siemens; others are not verified.
        """
        return "siemens" in self.vendor.lower()

    def slice_header(self, index: int, matrix: tuple[int, int, int]) -> FastMRIHeader:
        """The header of slices of k-space `matrix` (ky, kx, partition) in the encoding at `index`."""
        encoding = self.encodings[index]
        return FastMRIHeader(
            encoded_matrix=matrix,
            recon_matrix=encoding.recon_matrix,
            encoded_fov=encoding.encoded_fov,
            recon_fov=encoding.recon_fov,
            limits=encoding.line_limits,
            acquisition=self.acquisition,
            patient_id=self.patient_id,
            field_strength=self.field_strength,
        )


def parse_raw_header(xml: str | bytes) -> RawHeader:
    """Read an ISMRMRD header, whatever its namespace; what is missing or of no use is left out.

    Raises
    ------
    ValueError
        If the text is not XML, declares a document type, or an encoding lacks its matrix, or states sizes that no scanner has.
    """
    root = xml_root(xml)
    places = [element for element in root if element.tag.rpartition("}")[2] == "encoding"]
    if not places:
        raise ValueError("it has no `encoding`")
    system = "acquisitionSystemInformation"
    return RawHeader(
        encodings=tuple(map(_encoding, places)),
        vendor=text_of(root, system, "systemVendor"),
        acquisition=text_of(root, "measurementInformation", "protocolName"),
        patient_id=text_of(root, "subjectInformation", "patientID"),
        patient_position=text_of(root, "measurementInformation", "patientPosition"),
        field_strength=_positive(text_of(root, system, "systemFieldStrength_T")),
        bandwidth=_positive(text_of(root, system, "relativeReceiverNoiseBandwidth")),
    )


def _encoding(place: ElementTree.Element) -> Encoding:
    encoded = _matrix(place, "encodedSpace")
    if encoded is None:
        raise ValueError("encoding/encodedSpace/matrixSize is missing, or not whole numbers from 1 to 16384")
    return Encoding(
        encoded_matrix=encoded,
        recon_matrix=_matrix(place, "reconSpace") or encoded,
        encoded_fov=_field(place, "encodedSpace"),
        recon_fov=_field(place, "reconSpace") or _field(place, "encodedSpace"),
        line_limits=_limits(place, 1),
        partition_limits=_limits(place, 2),
        trajectory=text_of(place, "trajectory"),
        has_ramps=_has_ramps(place),
    )


def _matrix(place: ElementTree.Element, space: str) -> tuple[int, int, int] | None:
    sizes = triple_of(place, space, "matrixSize")
    if sizes is None or not all(size.is_integer() and size <= _LARGEST_MATRIX for size in sizes) or min(sizes[:2]) < 1:
        return None
    return int(sizes[0]), int(sizes[1]), max(1, int(sizes[2]))


def _field(place: ElementTree.Element, space: str) -> Triple | None:
    field = triple_of(place, space, "fieldOfView_mm")
    return field if field is not None and min(field[:2]) > 0 else None


def _limits(place: ElementTree.Element, step: int) -> EncodingLimits | None:
    path = "encodingLimits", f"kspace_encoding_step_{step}"
    try:
        minimum, maximum, center = (int(text_of(place, *path, name)) for name in ("minimum", "maximum", "center"))
    except ValueError:
        return None
    sound = 0 <= minimum <= maximum < 2**16 and 0 <= center < 2**16
    return EncodingLimits(minimum, maximum, center) if sound else None


def _has_ramps(place: ElementTree.Element) -> bool:
    """Whether converters wrote that the first sample of an echo-planar readout comes before its gradient is constant."""
    said: dict[str, float] = {}
    for description in (element for element in place if element.tag.rpartition("}")[2] == "trajectoryDescription"):
        for parameter in description:
            value = _positive(text_of(parameter, "value"), least=0)
            if value is not None:
                said[text_of(parameter, "name")] = value
    return said.get("acqDelayTime", 0.0) < said.get("rampUpTime", 0.0)


def _positive(text: str, *, least: float = 1e-9) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and least <= number <= 2**31 else None
