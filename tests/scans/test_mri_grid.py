from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from torch import Tensor

from medrecon.config.methods import RootSumOfSquaresSettings, ZeroFilledSettings
from medrecon.config.mri import LineMaskSettings, MaskName, MRIAcquisition
from medrecon.config.reconstruction import ReconstructionSettings
from medrecon.data.formats import open_kspace
from medrecon.data.mri.fastmri_header import FastMRIHeader
from medrecon.data.mri.writing import write_fastmri
from medrecon.errors import InputError
from medrecon.operators import Fourier
from medrecon.problem import coil_problem, full_reconstruction, sense_problem
from medrecon.results import Reconstruction
from medrecon.scans.mri_grid import image_grid
from medrecon.scans.mri_inspection import inspect_kspace, kspace_lines
from medrecon.spaces import Space, image_space, root_sum_of_squares
from medrecon.workflows import reconstruct_file
from tests.kspace_files import simulated_scan
from tests.program import medrecon

Make = Callable[..., Path]
Field = tuple[float, float, float]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a scan of `shape`, and what its header says."""

    def write(
        shape: tuple[int, int], matrix: tuple[int, int], encoded: Field | None, field: Field | None, **more: Any
    ) -> Path:
        header = FastMRIHeader((*shape, 1), (*matrix, 1), encoded_fov=encoded, recon_fov=field)
        write_fastmri(tmp_path / "scan.h5", [kspace_of(shape)], header=header, **more)
        return tmp_path / "scan.h5"

    return write


def kspace_of(shape: tuple[int, int]) -> Tensor:
    return simulated_scan(shape, acceleration=1, n_coils=4).kspace


def images_of(kspace: Tensor) -> Tensor:
    return Fourier(Space(("coil", "y", "x"), tuple(kspace.shape), is_complex=True)).H(kspace)


def padded(kspace: Tensor, shape: tuple[int, int]) -> Tensor:
    """K-space `(..., ky, kx)` within zeros, of the same intensity of its image."""
    wide = kspace.new_zeros((*kspace.shape[:-2], *shape))
    (ky, kx), (y, x) = kspace.shape[-2:], (shape[0] // 2 - kspace.shape[-2] // 2, shape[1] // 2 - kspace.shape[-1] // 2)
    wide[..., y : y + ky, x : x + kx] = kspace
    return wide * (shape[0] * shape[1] / (ky * kx)) ** 0.5


def reconstructed(path: Path, method: Any = None, **acquisition: Any) -> tuple[Tensor, Reconstruction]:
    settings = ReconstructionSettings(
        method=method or RootSumOfSquaresSettings(), acquisition=MRIAcquisition(**acquisition)
    )
    done = reconstruct_file(path, path.with_name("image.h5"), settings, overwrite=True)
    with h5py.File(path.with_name("image.h5")) as file:
        return torch.from_numpy(file["reconstruction"][0]), done


def test_a_finer_matrix_of_the_header_is_zero_filled(make: Make) -> None:
    path = make((48, 30), (48, 48), (96.0, 96.0, 5.0), (96.0, 96.0, 5.0))
    image, done = reconstructed(path)
    kspace = kspace_of((48, 30))
    torch.testing.assert_close(image, root_sum_of_squares(images_of(padded(kspace, (48, 48))), -3))
    assert done.report.shape == (48, 48)
    assert done.report.pixel == pytest.approx((2.0, 2.0))
    assert done.report.attributes()["pixel_x_mm"] == pytest.approx(2.0)
    [note] = done.report.notes
    assert "48 x 30 is filled with zeros: images are 48 x 48" in note
    found = inspect_kspace(open_kspace(path))
    assert (found.image, found.matrix, found.pixel) == ((48, 48), (48, 30), pytest.approx((2.0, 2.0)))
    assert "image 48 x 48 (y, x) after the zero-filling; readout oversampled 1x" in kspace_lines(found)


def test_a_complex_image_is_interpolated_before_its_magnitude(make: Make) -> None:
    path = make((48, 30), (48, 48), (96.0, 96.0, 5.0), (96.0, 96.0, 5.0))
    image, _ = reconstructed(path, ZeroFilledSettings())
    problem = sense_problem(open_kspace(path)[0])
    expected = images_of(padded(Fourier(problem.A.domain)(problem.A.H(problem.y)), (48, 48))[None])[0].abs()
    torch.testing.assert_close(image, expected, rtol=1e-4, atol=1e-5)
    assert float((image - root_sum_of_squares(images_of(padded(kspace_of((48, 30)), (48, 48))), -3)).abs().max()) > 1e-3


def test_half_an_encoded_field_is_cut_out_of_a_finer_matrix(make: Make) -> None:
    image, done = reconstructed(make((64, 40), (64, 60), (128.0, 100.0, 5.0), (64.0, 75.0, 5.0)))
    wide = root_sum_of_squares(images_of(padded(kspace_of((64, 40)), (128, 80))), -3)
    assert done.report.shape == (64, 60)
    assert done.report.pixel == pytest.approx((1.0, 1.25))
    inside = slice(8, 56)  # the edges of the readout's field are cut off before it is interpolated
    torch.testing.assert_close(image[inside], wide[32:96, 10:70][inside], rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("fields", "matrix"), [((96.0, 80.0), (24, 40)), ((96.0, 79.0), (24, 40)), ((96.0, 70.0), (24, 44))]
)
def test_pixels_as_fine_as_those_of_kspace_stay(
    make: Make, fields: tuple[float, float], matrix: tuple[int, int]
) -> None:
    """Also where the field is wider than k-space, as in some of fastMRI's files, which pad images."""
    path = make((48, 40), matrix, (*fields, 5.0), (48.0, matrix[1] * fields[1] / 40, 5.0))
    image, done = reconstructed(path)
    file = open_kspace(path)
    assert done.report.shape == file.matrix == (24, 40)
    assert torch.equal(image, full_reconstruction(file[0]))


def test_a_size_is_that_of_the_whole_field(make: Make) -> None:
    path = make((48, 40), (48, 40), (96.0, 80.0, 5.0), (96.0, 80.0, 5.0))
    image, done = reconstructed(path, size=(96, 80))
    torch.testing.assert_close(image, root_sum_of_squares(images_of(padded(kspace_of((48, 40)), (96, 80))), -3))
    assert done.report.pixel == pytest.approx((1.0, 1.0))
    coarse, done = reconstructed(path, size=(24, 20))
    few = kspace_of((48, 40))[:, 12:36, 10:30] / 2
    torch.testing.assert_close(coarse, root_sum_of_squares(images_of(few), -3))
    assert done.report.pixel == pytest.approx((4.0, 4.0))


def test_a_field_of_view_is_a_part_of_the_image(make: Make) -> None:
    path = make((48, 40), (24, 40), (96.0, 80.0, 5.0), (48.0, 80.0, 5.0))
    file = open_kspace(path)
    whole = root_sum_of_squares(images_of(file[0].kspace), -3)
    for field, rows, columns in (
        ((32.0, 40.0), slice(16, 32), slice(10, 30)),
        ((80.0, 80.0), slice(4, 44), slice(0, 40)),
    ):
        image, done = reconstructed(path, field_of_view=field)
        torch.testing.assert_close(image, whole[rows, columns])
        assert done.report.pixel == pytest.approx((2.0, 2.0))
    image, done = reconstructed(path, field_of_view=(40.0, 40.0), size=(40, 60))
    assert done.report.shape == (40, 60)
    assert done.report.pixel == pytest.approx((1.0, 2 / 3))


def test_without_fields_a_size_crops(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    kspace = kspace_of((48, 40))
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace[None].numpy()
    image, done = reconstructed(path, size=(32, 20))
    torch.testing.assert_close(image, root_sum_of_squares(images_of(kspace), -3)[8:40, 10:30])
    assert done.report.pixel is None
    with pytest.raises(InputError, match="--size crops k-space's own grid of 48 x 40; got 64 x 40"):
        reconstructed(path, size=(64, 40))
    with pytest.raises(InputError, match="states no field of view"):
        reconstructed(path, field_of_view=(64.0, 40.0))


def test_a_field_that_was_not_measured_is_refused(make: Make) -> None:
    path = make((48, 40), (24, 40), (96.0, 80.0, 5.0), (48.0, 80.0, 5.0))
    with pytest.raises(InputError, match="k-space covers 96 x 80 mm, and --field-of-view asks for 96 x 90 mm"):
        reconstructed(path, field_of_view=(96.0, 90.0))


def test_a_target_on_another_grid_is_not_scored(make: Make) -> None:
    target = [full_reconstruction(open_kspace(make((48, 40), (48, 40), None, None))[0])]
    path = make((48, 40), (48, 40), (96.0, 80.0, 5.0), (96.0, 80.0, 5.0), targets=target, overwrite=True)
    assert reconstructed(path)[1].report.metrics[0].psnr > 60
    _, done = reconstructed(path, size=(96, 80))
    assert done.report.metrics == ()
    assert done.shown.target is None
    assert any("another grid than --size and --field-of-view make: nothing is scored" in n for n in done.report.notes)
    mask = LineMaskSettings(kind=MaskName.RANDOM, acceleration=2, center_fraction=0.2, seed=0)
    _, done = reconstructed(path, size=(96, 80), mask=mask)  # the target is the scan's own full image
    assert done.shown.target is not None
    assert done.shown.target.shape == (96, 80)
    assert done.report.metrics[0].psnr > 15


def test_the_command_takes_sizes_and_fields(make: Make, tmp_path: Path) -> None:
    path = make((48, 40), (48, 40), (96.0, 80.0, 5.0), (96.0, 80.0, 5.0))
    call = ("reconstruct", path, "-o", tmp_path / "out.h5", "--method", "rss", "--overwrite")
    done = medrecon(*call, "--size", "50x30", "--field-of-view", "60x45.5", "--preview", tmp_path / "a.png")
    assert done.status == 0, done.err
    assert "50 x 30" in done.out
    assert medrecon(*call, "--field-of-view", "wide").complaint == (
        "--field-of-view takes MM or YxX in millimeters, such as 192 or 220x180.5; got 'wide'"
    )
    assert "k-space covers 96 x 80 mm" in medrecon(*call, "--field-of-view", "100").complaint


def test_previews_have_square_pixels(make: Make, tmp_path: Path) -> None:
    import matplotlib.image

    path = make((48, 24), (48, 24), (96.0, 96.0, 5.0), (96.0, 96.0, 5.0))
    assert (
        medrecon(
            "reconstruct", path, "-o", tmp_path / "o.h5", "--method", "rss", "--preview", tmp_path / "a.png"
        ).status
        == 0
    )
    rows, columns = matplotlib.image.imread(tmp_path / "a.png").shape[:2]
    assert 0.4 < rows / columns < 0.7  # two panels that are as high as wide, under a heading


def test_a_magnitude_is_interpolated_with_a_note(make: Make) -> None:
    """A network gives no complex image."""
    path = make((48, 30), (48, 48), (96.0, 96.0, 5.0), (96.0, 96.0, 5.0))
    file = open_kspace(path)
    problem = image_grid(file, MRIAcquisition()).shown(coil_problem(file[0]))
    magnitude = full_reconstruction(file[0])
    shown = problem.display_image(magnitude)
    assert problem.notes == ("the method gives no complex image: its magnitude is interpolated",)
    expected = images_of(padded(Fourier(image_space((48, 30)))(magnitude + 0j), (48, 48))[None])[0].abs()
    torch.testing.assert_close(shown, expected, rtol=1e-4, atol=1e-4)
