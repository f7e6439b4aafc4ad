import pytest

from medrecon.data.mri.fastmri_header import EncodingLimits, FastMRIHeader, make_header, parse_header, write_header
from medrecon.data.mri.scan_geometry import scan_geometry

KNEE = """<?xml version="1.0" encoding="utf-8"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <acquisitionSystemInformation><systemFieldStrength_T>2.8936</systemFieldStrength_T></acquisitionSystemInformation>
  <encoding>
    <encodedSpace>
      <matrixSize><x>640</x><y>368</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>280</x><y>161.0000</y><z>4.5</z></fieldOfView_mm>
    </encodedSpace>
    <reconSpace>
      <matrixSize><x>320</x><y>320</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>140</x><y>140</y><z>4.5</z></fieldOfView_mm>
    </reconSpace>
    <encodingLimits>
      <kspace_encoding_step_1><minimum>0</minimum><maximum>331</maximum><center>166</center></kspace_encoding_step_1>
    </encodingLimits>
    <trajectory>cartesian</trajectory>
  </encoding>
</ismrmrdHeader>"""
HEADER = parse_header(KNEE)


def test_parses_a_knee_header() -> None:
    expected = FastMRIHeader(
        encoded_matrix=(640, 368, 1),
        recon_matrix=(320, 320, 1),
        encoded_fov=(280.0, 161.0, 4.5),
        recon_fov=(140.0, 140.0, 4.5),
        limits=EncodingLimits(0, 331, 166),
        field_strength=2.8936,
    )
    assert parse_header(KNEE) == expected


@pytest.mark.parametrize(
    "xml",
    [
        KNEE.encode(),
        KNEE.replace(' xmlns="http://www.ismrm.org/ISMRMRD"', ""),
        KNEE.replace("http://www.ismrm.org/ISMRMRD", "urn:other"),
        KNEE + "\0\0",
    ],
)
def test_namespace_and_type_of_the_text_do_not_matter(xml: str | bytes) -> None:
    assert parse_header(xml) == HEADER


@pytest.mark.parametrize(
    "header",
    [
        HEADER,
        FastMRIHeader((64, 32, 1), (32, 32, 1)),
        make_header((64, 32), (32, 30), pixel=0.7, padding=(3, 29), acquisition="AXT2 <&>", patient_id="é"),
    ],
)
def test_written_headers_come_back(header: FastMRIHeader) -> None:
    assert parse_header(write_header(header)) == header


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        ("<a>", "not XML"),
        ("", "not XML"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]>" + KNEE.partition("?>")[2], "document type"),
        ("<a>" + "<b/>" * 200_000 + "</a>", "200002 tags, more than any ISMRMRD header"),
        (f"<a>{' ' * 5_000_000}</a>", "5000007 characters"),
        (KNEE.replace("encodedSpace", "space"), "encodedSpace/matrixSize"),
        (KNEE.replace("<x>320</x>", "<x>many</x>"), "reconSpace/matrixSize"),
        (KNEE.replace("<x>640</x>", "<x>0</x>"), "encodedSpace/matrixSize"),
    ],
)
def test_bad_headers_are_refused_in_words(xml: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_header(xml)


def test_geometry_of_a_knee() -> None:
    geometry = scan_geometry((640, 368), HEADER, (320, 320))
    assert (geometry.matrix, geometry.oversampling, geometry.notes) == ((320, 320), 2.0, ())
    assert geometry.padding == (368 // 2 - 166, 368 // 2 - 166 + 331 + 1)


def test_padding_stays_centered_where_k_space_is_wider_than_the_header_says() -> None:
    geometry = scan_geometry((640, 372), HEADER, (320, 320))
    assert geometry.padding == (372 // 2 - 166, 372 // 2 - 166 + 332)
    assert "encoded matrix" in geometry.notes[0]


def test_padding_that_misses_the_center_is_not_used() -> None:
    header = FastMRIHeader((64, 32, 1), (32, 32, 1), limits=EncodingLimits(0, 5, 16))
    geometry = scan_geometry((64, 32), header, None)
    assert geometry.padding is None
    assert "leave out the center" in geometry.notes[0]


@pytest.mark.parametrize(
    ("kspace", "target", "matrix", "oversampling"),
    [
        ((640, 368), (320, 300), (320, 300), 2.0),
        ((640, 368), None, (640, 368), 1.0),
        ((640, 213), None, (640, 213), 1.0),
        ((256, 256), None, (256, 256), 1.0),
    ],
)
def test_without_a_header_the_guess_is_said(
    kspace: tuple[int, int], target: tuple[int, int] | None, matrix: tuple[int, int], oversampling: float
) -> None:
    geometry = scan_geometry(kspace, None, target)
    assert (geometry.matrix, geometry.oversampling, geometry.padding) == (matrix, oversampling, None)
    assert len(geometry.notes) == 1
    assert "no header" in geometry.notes[0]


@pytest.mark.parametrize("kspace", [(640, 368), (640, 213)])
def test_without_a_header_the_data_alone_say_that_a_readout_is_oversampled(kspace: tuple[int, int]) -> None:
    geometry = scan_geometry(kspace, None, None, is_oversampled=True)
    assert (geometry.matrix, geometry.oversampling) == ((320, kspace[1]), 2.0)
    assert "outer quarters" in geometry.notes[0]


@pytest.mark.parametrize(
    ("kspace", "recon", "fields", "matrix"),
    [
        ((128, 57), (128, 108, 1), ((460, 204.54), (230, 194.06)), (64, 54)),  # a finer matrix than k-space's
        ((256, 256), (128, 128, 1), ((256, 256), (256, 256)), (256, 256)),  # a coarser one
        ((640, 264), (320, 320, 1), ((440, 181.5), (220, 220)), (320, 264)),  # a field wider than k-space's
        ((640, 372), (320, 320, 1), ((280, 161), (140, 140)), (320, 320)),  # lines were padded, 1 % too many
    ],
)
def test_fields_of_view_decide_what_is_shown(
    kspace: tuple[int, int],
    recon: tuple[int, int, int],
    fields: tuple[tuple[float, float], tuple[float, float]],
    matrix: tuple[int, int],
) -> None:
    encoded, reconstructed = ((*field, 5.0) for field in fields)
    assert scan_geometry(kspace, FastMRIHeader((*kspace, 1), recon, encoded, reconstructed), None).matrix == matrix


def test_of_several_encodings_the_one_that_fits_counts() -> None:
    first, last = KNEE.index("<encoding>"), KNEE.index("</encoding>") + len("</encoding>")
    other = KNEE[first:last].replace("640", "96").replace("368", "64")
    several = KNEE[:first] + other + KNEE[first:]
    assert parse_header(several, (640, 372)) == HEADER
    assert parse_header(several, (96, 64)).encoded_matrix == (96, 64, 1)
    assert parse_header(several).encoded_matrix == (96, 64, 1)


def test_k_space_narrower_than_the_image_is_not_cropped_along_it() -> None:
    geometry = scan_geometry((640, 213), HEADER, None)
    assert geometry.matrix[0] == 320
    assert geometry.matrix[1] <= 213
    assert "larger than k-space" in geometry.notes[0]


def test_an_interpolated_matrix_still_loses_the_oversampling() -> None:
    header = FastMRIHeader((432, 216, 1), (512, 512, 1), (440.0, 220.0, 5.0), (220.0, 220.0, 5.0))
    geometry = scan_geometry((432, 216), header, None)
    assert (geometry.matrix, geometry.oversampling) == ((216, 216), 2.0)


def test_make_header_refuses_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="within k-space"):
        make_header((64, 32), (32, 33))
    with pytest.raises(ValueError, match="padding"):
        make_header((64, 32), (32, 32), padding=(17, 32))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("<x>280</x>", "<x>1e400</x>", r"encoding/encodedSpace/fieldOfView_mm is 1e400 x 161\.0000 x 4\.5, beyond any"),
        ("<x>140</x>", "<x>nan</x>", "reconSpace/fieldOfView_mm is nan x 140"),
        ("<x>640</x>", "<x>" + "9" * 23 + "</x>", r"encodedSpace/matrixSize is 9+\.* x 368"),
        ("<y>320</y>", "<y>1e308</y>", "reconSpace/matrixSize is 320 x 1e308"),
        ("<maximum>331</maximum>", "<maximum>" + "9" * 400 + "</maximum>", "kspace_encoding_step_1 goes to 9+"),
    ],
)
def test_numbers_that_no_scanner_has_are_refused_before_they_are_used(old: str, new: str, says: str) -> None:
    assert old in KNEE
    with pytest.raises(ValueError, match=says) as caught:
        parse_header(KNEE.replace(old, new), (640, 368))
    assert len(str(caught.value)) < 200


def test_a_field_strength_that_is_none_is_left_out() -> None:
    assert parse_header(KNEE.replace("2.8936", "1e400")).field_strength is None
