"""Geometry files: what is written is read, and what cannot be is named with its file, key and remedy."""

import math
from pathlib import Path

import pytest

from medrecon.data.ct.geometry_files import CTScan, default_grid, geometry_text, parse_geometry, read_geometry
from medrecon.errors import InputError
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam, lodopab

PARALLEL = "beam: parallel\nangles: {first: 0, step: 1, count: 4, unit: degrees}\nn_bins: 5\nspacing: 2\n"
FAN = PARALLEL.replace("parallel", "fan") + "source_distance: 400\ndetector_distance: 100\n"
GEOMETRIES = [
    lodopab(),
    ParallelBeam((0.0, 0.5, 0.7), 8, 1.5, offset=-3.0),
    FanBeam(Arc.full_turn(6), 20, 0.4, 410.66, 143.08),
    FanBeam((0.1, -0.4), 20, 0.4, 410.66, 143.08, curved=True, offset=1.0),
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_what_is_written_is_read(geometry: Geometry, tmp_path: Path) -> None:
    for grid, photons in ((Grid((4, 6), (0.5, 0.25)), 4096.0), (default_grid(geometry), None)):
        scan = CTScan(geometry, grid, photons)
        (tmp_path / "g.yaml").write_text(geometry_text(scan))
        assert read_geometry(tmp_path / "g.yaml") == scan


@pytest.mark.parametrize(
    "angles",
    [
        "{first: 0, step: 30, count: 3, unit: degrees}",
        "{first: 0, step: 0.5235987755982988, count: 3}",
        "{values: [0, 30, 60], unit: degrees}",
        "[0, 0.5235987755982988, 1.0471975511965976]",
    ],
)
def test_angles_may_be_said_in_four_ways(angles: str) -> None:
    scan = parse_geometry(f"beam: parallel\nangles: {angles}\nn_bins: 5\nspacing: 2", "x")
    assert list(scan.geometry.angles) == pytest.approx([0, math.pi / 6, math.pi / 3])


def test_optional_keys() -> None:
    scan = parse_geometry(FAN + "curved: true\noffset: 3\ngrid: {shape: 7, spacing: [1, 2]}\nphotons: 1e4", "x")
    assert scan.geometry == FanBeam(Arc(0, math.radians(1), 4), 5, 2.0, 400.0, 100.0, curved=True, offset=3.0)
    assert (scan.grid, scan.photons) == (Grid((7, 7), (1.0, 2.0)), 1e4)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_the_default_grid_covers_what_all_views_see(geometry: Geometry) -> None:
    grid = default_grid(geometry)
    assert min(grid.extent) >= 2 * geometry.field_radius - 2 * max(grid.spacing)
    finest = geometry.spacing / (1 if isinstance(geometry, ParallelBeam) else geometry.source_to_detector / 410.66)
    assert grid.spacing == pytest.approx((finest, finest))


@pytest.mark.parametrize("n_bins", [1, 2, 5])
def test_a_coarse_detector_gets_an_image_within_the_source(n_bins: int) -> None:
    for geometry in (ParallelBeam((0.0,), n_bins, 3.0), FanBeam((0.0,), n_bins, 2e4, 400.0, 100.0, curved=False)):
        assert default_grid(geometry).radius < 400


def test_a_wide_detector_gets_no_endless_image() -> None:
    assert default_grid(ParallelBeam(Arc.half_turn(3), 50_000, 0.1)).shape == (2048, 2048)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a geometry is a mapping with the keys beam, angles, n_bins"),
        ("beam: [", "is not YAML"),
        ("beam: cone", "`beam` is parallel or fan; got 'cone'"),
        ("spacing: 1", "`beam` is parallel or fan; there is none"),
        ("beam: parallel", "the key `angles` is missing; needed are beam, angles, n_bins, spacing"),
        (
            PARALLEL + "spacng: 2",
            "unknown key `spacng`; there are beam, angles, n_bins, spacing, offset, grid, photons",
        ),
        (PARALLEL + "source_distance: 2", "unknown key `source_distance`"),
        (FAN.replace("degrees}", "degrees, x: 1}"), "unknown key `angles.x`; there are first, step, count, unit"),
        (PARALLEL + "grid: {shape: 5}", "the key `grid.spacing` is missing; needed are shape, spacing"),
        (PARALLEL + "grid: {shape: 5, spacing: 1, x: 1}", "unknown key `grid.x`; there are shape, spacing"),
        (PARALLEL.replace("degrees", "turns"), "`angles.unit` should be 'radians' or 'degrees', got 'turns'"),
        (PARALLEL.replace("spacing: 2", "spacing: wide"), "`spacing` should be a valid number"),
        (PARALLEL.replace("spacing: 2", "spacing: -2"), "takes a spacing above 0 mm, got -2.0"),
        (PARALLEL.replace("spacing: 2", "spacing: 0"), "takes a spacing above 0 mm, got 0.0"),
        (PARALLEL.replace("spacing: 2", "spacing: .nan"), "`spacing` should be a finite number"),
        (PARALLEL.replace("n_bins: 5", "n_bins: 5.5"), "`n_bins` should be a valid integer"),
        (PARALLEL.replace("n_bins: 5", "n_bins: 0"), "takes at least one detector bin, got 0"),
        (PARALLEL + "photons: -1", "`photons` should be greater than 0"),
        (PARALLEL.replace(", unit: degrees", "").replace("step: 1", "step: 90"), "which looks like degrees"),
        (PARALLEL.replace(", unit: degrees", "").replace("step: 1", "step: 90"), "unit: degrees}"),
        ("beam: parallel\nangles: 5\nn_bins: 5\nspacing: 1", "`angles` is a list in radians"),
        (
            FAN + "grid: {shape: 100, spacing: 9}",
            "the source, 400 mm from the center, lies inside the image of 900 x 900 mm",
        ),
        (FAN.replace("source_distance: 400", "source_distance: -400"), "takes a source_distance above 0 mm"),
        (FAN.replace("n_bins: 5", "n_bins: 0"), "takes at least one detector bin, got 0"),
    ],
)
def test_faults_are_named_with_file_key_and_remedy(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_geometry(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is no text"):
        read_geometry(tmp_path / "g.yaml")
    with pytest.raises(InputError, match="does not exist; check its name"):
        read_geometry(tmp_path / "absent.yaml")
    with pytest.raises(InputError, match="is a directory"):
        read_geometry(tmp_path)


@pytest.mark.parametrize(
    "angles",
    [
        "{first: 10, step: 111.25, count: 60, unit: degrees}",
        "{first: 0.17453292519943295, step: 1.941678793115769, count: 60, unit: radians}",
        f"{{values: {[10 + 111.25 * k for k in range(60)]}, unit: degrees}}",
    ],
)
def test_angles_counted_on_beyond_two_turns_are_believed_with_their_unit(angles: str) -> None:
    scan = parse_geometry(f"beam: parallel\nangles: {angles}\nn_bins: 5\nspacing: 2", "x")
    kept = [math.degrees(angle) for angle in scan.geometry.angles]
    assert kept == pytest.approx([(10 + 111.25 * k) % 360 for k in range(60)])
