import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from medrecon.config.mri import MaskName, MRIAcquisition, WholeLineMaskSettings
from medrecon.data.formats import open_kspace
from medrecon.data.mri.fastmri import KSpaceSample, detect_sampling
from medrecon.data.mri.fastmri_header import EncodingLimits, FastMRIHeader, make_header
from medrecon.data.mri.masks import equispaced_fraction_mask
from medrecon.data.mri.noise import add_noise
from medrecon.data.mri.simulation import Simulation, simulate_volume
from medrecon.data.mri.writing import write_fastmri
from medrecon.data.phantoms.mri_phantoms import brain_volume
from medrecon.errors import InputError
from medrecon.findings import Severity
from medrecon.problem import full_reconstruction
from medrecon.progress import silent
from medrecon.reconstructors import RootSumOfSquares, ZeroFilled
from medrecon.scans.mri import KSpaceScan
from medrecon.scans.mri_checks import Mending, check_kspace
from medrecon.scans.mri_inspection import inspect_kspace
from tests.kspace_files import simulated_scan

SHAPES = [(96, 80), (65, 57), (48, 128)]


def sample(kspace: Tensor, matrix: tuple[int, int] | None = None) -> KSpaceSample:
    size = kspace.shape[-2], kspace.shape[-1]
    sampled = detect_sampling(kspace.abs().amax(dim=0))
    return KSpaceSample(
        kspace=kspace,
        sampled=sampled,
        target=None,
        matrix=matrix or size,
        name="a.h5",
        slice_index=0,
        maximum=None,
        oversampling=1.0,
        padding=(0, size[1]),
    )


def sound(shape: tuple[int, int] = (96, 80), n_coils: int = 4, snr: float | None = 30.0) -> KSpaceSample:
    return sample(simulated_scan(shape, acceleration=1, n_coils=n_coils, snr=snr).kspace)


def names(found: KSpaceSample) -> list[str]:
    return [finding.name for finding in check_kspace(found).findings]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_coils", [1, 4, 24])
@pytest.mark.parametrize("snr", [5.0, None])
def test_nothing_is_said_of_sound_data(shape: tuple[int, int], n_coils: int, snr: float | None) -> None:
    whole = sound(shape, n_coils, snr)
    assert check_kspace(whole).findings == ()
    for acceleration in (2, 6):
        lines = equispaced_fraction_mask(shape[1], acceleration, 0.1, 0).sampled
        assert check_kspace(sample(whole.kspace * lines)).findings == ()


def test_sound_data_are_not_touched() -> None:
    whole = sound()
    assert check_kspace(whole).mending(whole) is whole


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("by", [(0, 5), (8, 0), (-3, 11)])
@pytest.mark.parametrize("n_coils", [1, 6])
def test_a_peak_off_the_middle_is_rolled_back(shape: tuple[int, int], by: tuple[int, int], n_coils: int) -> None:
    whole = sound(shape, n_coils)
    moved = sample(whole.kspace.roll(by, (-2, -1)))
    checked = check_kspace(moved)
    assert [finding.severity for finding in checked.findings] == [Severity.MENDED]
    assert checked.mending.shift == tuple(-n for n in by)
    assert torch.equal(checked.mending(moved).kspace, whole.kspace)


def test_lines_and_padding_are_rolled_with_their_peak() -> None:
    lines = torch.arange(80) % 3 == 1
    lines[30:50] = True
    lines[:6] = lines[76:] = False
    whole = sample(sound().kspace * lines)
    moved = replace(sample(whole.kspace.roll(3, -1)), padding=(9, 79))
    checked = check_kspace(moved)
    assert checked.mending.shift == (0, -3)
    assert torch.equal(checked.mending(moved).sampled, lines)
    assert checked.mending(moved).padding == (6, 76)


def test_a_peak_that_was_not_measured_moves_nothing() -> None:
    lines = torch.arange(80) % 4 == 2
    assert check_kspace(sample(sound().kspace.roll(3, -1) * lines)).findings == ()


def test_a_spike_is_not_taken_for_the_peak() -> None:
    kspace = sound().kspace.clone()
    kspace[:, 20, 30] = 3 * kspace.abs().max()
    assert check_kspace(sample(kspace)).mending == Mending()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("in_corner", [True, False])
def test_an_uncentered_transform_is_undone(shape: tuple[int, int], in_corner: bool) -> None:
    whole = sound(shape)
    image = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(whole.kspace, dim=(-2, -1))), dim=(-2, -1))
    uncentered = torch.fft.fft2(image)
    moved = sample(uncentered if in_corner else torch.fft.fftshift(uncentered, dim=(-2, -1)))
    checked = check_kspace(moved)
    assert [finding.severity for finding in checked.findings] == [Severity.MENDED] * (2 if in_corner else 1)
    assert checked.findings[-1].name == "object-in-corners"
    torch.testing.assert_close(full_reconstruction(checked.mending(moved)), full_reconstruction(whole))


@pytest.mark.parametrize("axis", [-2, -1])
def test_signs_that_alternate_along_one_axis_are_refused(axis: int) -> None:
    kspace = sound().kspace
    sign = 1 - 2 * (torch.arange(kspace.shape[axis]) % 2)
    moved = sample(kspace * (sign[:, None] if axis == -2 else sign))
    [finding] = check_kspace(moved).findings
    assert (finding.name, finding.severity) == ("object-in-corners", Severity.PROBLEM)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axes", [(-2,), (-1,), (-2, -1)])
@pytest.mark.parametrize("snr", [10.0, None])
def test_an_axis_that_was_transformed_is_named(
    shape: tuple[int, int], axes: tuple[int, ...], snr: float | None
) -> None:
    kspace = torch.fft.ifftshift(sound(shape, snr=snr).kspace, dim=axes)
    hybrid = torch.fft.fftshift(torch.fft.ifftn(kspace, dim=axes), dim=axes)
    found = check_kspace(sample(hybrid)).findings
    assert [finding.name for finding in found] == ["transformed-already"] * len(axes)
    assert all(finding.severity is Severity.PROBLEM for finding in found)
    assert ("(ky)" in found[0].text) == (-2 in axes)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_coils", [1, 4, 16, 32])
@pytest.mark.parametrize("place", [-1, -2])
def test_coils_in_another_place_are_refused(shape: tuple[int, int], n_coils: int, place: int) -> None:
    kspace = sound(shape, n_coils).kspace.movedim(0, place)
    [finding] = check_kspace(sample(kspace)).findings
    assert (finding.name, finding.severity) == ("axes-swapped", Severity.PROBLEM)
    assert f"numpy.moveaxis(kspace, {place}, 1)" in finding.text


def test_coils_of_unlike_strength_are_not_swapped() -> None:
    whole = sound(n_coils=24)
    strength = torch.exp(-((torch.arange(24) - 12.0) ** 2) / 8)
    assert "axes-swapped" not in names(sample(whole.kspace * strength[:, None, None]))


def test_inspect_and_reconstruct_say_the_same(tmp_path: Path) -> None:
    whole = sound((96, 80))
    write_fastmri(tmp_path / "a.h5", [whole.kspace.roll(6, -1)] * 2, header=make_header((96, 80), (96, 80)))
    inspection = inspect_kspace(open_kspace(tmp_path / "a.h5"))
    assert inspection.problems == ()
    assert [finding.name for finding in inspection.findings] == ["peak-off-center"]
    assert json.loads(json.dumps(dataclasses.asdict(inspection)))["findings"][0]["severity"] == "mended"
    mask = WholeLineMaskSettings(kind=MaskName.EQUISPACED, seed=0)
    scan = KSpaceScan.of(open_kspace(tmp_path / "a.h5"), MRIAcquisition(mask=mask)).checked(range(2), silent)
    assert scan.notes == inspection.notes
    read, _ = scan._read(1, RootSumOfSquares())
    assert scan.mask is not None
    assert torch.equal(read.kspace, whole.kspace * scan.mask.sampled)


def test_a_problem_is_refused_unless_it_is_accepted(tmp_path: Path) -> None:
    kspace = sound((64, 48), 5).kspace.movedim(0, -1)
    write_fastmri(tmp_path / "a.h5", [kspace] * 2, header=make_header((48, 5), (48, 5)))
    inspection = inspect_kspace(open_kspace(tmp_path / "a.h5"))
    assert any("moveaxis" in problem for problem in inspection.problems)
    scan = KSpaceScan.of(open_kspace(tmp_path / "a.h5"), MRIAcquisition())
    with pytest.raises(InputError, match=r"moveaxis.*--accept axes-swapped"):
        scan.checked(range(2), silent)
    accepted = KSpaceScan.of(scan.file, MRIAcquisition(accept=("axes-swapped",))).checked(range(2), silent)
    assert any("moveaxis" in note for note in accepted.notes)


@pytest.mark.parametrize("n", [4, 8, 13])
@pytest.mark.parametrize("transformed", [True, False])
def test_partitions_of_a_slab_are_transformed_or_refused(tmp_path: Path, n: int, transformed: bool) -> None:
    height = 1 - np.abs(np.arange(n) - n // 2) / (0.75 * n)
    along = torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(torch.from_numpy(height)), norm="ortho"))
    kspace = sound((64, 48)).kspace
    header = FastMRIHeader((64, 48, n), (64, 48, n))
    planes = [kspace * complex(value) for value in (height if transformed else along)]
    noise = torch.Generator().manual_seed(0)
    planes = [plane + 1e-3 * torch.randn(plane.shape, generator=noise, dtype=plane.dtype) for plane in planes]
    write_fastmri(tmp_path / "a.h5", planes, header=header)
    inspection = inspect_kspace(open_kspace(tmp_path / "a.h5"))
    assert [finding.name for finding in inspection.findings] == [] if transformed else ["untransformed-partitions"]
    scan = KSpaceScan.of(open_kspace(tmp_path / "a.h5"), MRIAcquisition())
    if transformed:
        assert scan.checked(range(n), silent).notes == ()
    else:
        with pytest.raises(InputError, match="--accept untransformed-partitions"):
            scan.checked(range(n), silent)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", [-2, -1])
@pytest.mark.parametrize("end", [True, False])
def test_a_side_that_is_missing_is_named(tmp_path: Path, shape: tuple[int, int], axis: int, end: bool) -> None:
    kspace = sound(shape).kspace.clone()
    quarter = shape[axis] // 4
    kspace.narrow(axis, shape[axis] - quarter if end else 0, quarter).zero_()
    for limits in (
        None,
        EncodingLimits(0, shape[1] - quarter - 1, shape[1] // 2),
    ):  # the second: wrong without a start
        header = FastMRIHeader((*shape, 1), (*shape, 1), limits=limits if axis == -1 else None)
        write_fastmri(tmp_path / "a.h5", [kspace], header=header, overwrite=True)
        found = inspect_kspace(open_kspace(tmp_path / "a.h5"))
        expected = "partial-fourier" if axis == -1 else "asymmetric-echo"
        told = [expected, "header-limits"] if limits and axis == -1 and not end else [expected]
        assert [(finding.name, finding.severity) for finding in found.findings] == [
            (one, Severity.NOTE) for one in told
        ]
        assert found.sampling is not None
        assert found.sampling.fully_sampled


@pytest.mark.parametrize("snr", [5.0, None])
@pytest.mark.parametrize("oversampled", [True, False])
def test_without_a_header_the_data_decide_the_crop(tmp_path: Path, oversampled: bool, snr: float | None) -> None:
    simulation = Simulation(brain_volume(), (60, 56), n_coils=4, snr=snr or float("inf"))
    kspace = next(simulate_volume(simulation))
    matrix = (60, 56) if oversampled else (120, 56)
    if not oversampled:  # the same k-space, of a head that fills its field
        image = sound((120, 56), snr=snr)
        kspace = image.kspace
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = kspace[None].numpy()
    assert open_kspace(tmp_path / "a.h5").matrix == matrix


def along_readout(kspace: Tensor, phase: Tensor) -> Tensor:
    rows = torch.fft.fftshift(torch.fft.ifft(torch.fft.ifftshift(kspace, dim=-2), dim=-2), dim=-2)
    rows = rows * torch.polar(torch.ones_like(phase), phase)[:, None]
    return torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(rows, dim=-2), dim=-2), dim=-2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_coils", [1, 8])
@pytest.mark.parametrize(("phase", "shift"), [(0.3, 0.0), (0.0, 0.4), (-0.25, 0.3), (0.6, -1.0)])
def test_odd_lines_that_differ_are_measured(shape: tuple[int, int], n_coils: int, phase: float, shift: float) -> None:
    kspace = sound(shape, n_coils).kspace.clone()
    y = torch.arange(shape[0]) - shape[0] // 2
    kspace[..., 1::2] = along_readout(kspace, phase + 2 * torch.pi * shift * y / shape[0])[..., 1::2]
    [finding] = check_kspace(sample(kspace)).findings
    assert (finding.name, finding.severity) == ("odd-even-lines", Severity.PROBLEM)
    words = finding.text.split()
    found = float(words[words.index("by") + 1]), float(words[words.index("turned") + 2])
    sign = 1 if (shape[1] // 2) % 2 == 0 else -1  # which lines are odd is told from the middle
    assert [sign * value for value in found[:1]] == pytest.approx([shift], abs=0.1)
    assert sign * found[1] == pytest.approx(phase, abs=0.12)


def filling_its_field(seed: int) -> KSpaceSample:
    """One coil of an object that overlaps with itself moved by half the field."""
    generator, n = torch.Generator().manual_seed(seed), 96
    y, x = torch.linspace(-1, 1, n)[:, None], torch.linspace(-1, 1, n)
    coarse = torch.rand(1, 1, 8, 8, generator=generator)
    texture = torch.nn.functional.interpolate(coarse, size=(n, n), mode="bicubic", align_corners=True)[0, 0]
    slopes = torch.randn(5, generator=generator).tolist()
    phase = sum(slope * term for slope, term in zip(slopes, (y + 0 * x, x + 0 * y, x * y, x * x, y * y), strict=True))
    image = ((y / 0.98) ** 2 + (x / 0.98) ** 2 < 1) * (0.3 + texture) * torch.exp(1j * phase)
    return sample(torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(image)))[None].to(torch.complex64))


def test_sound_lines_of_an_object_that_fills_its_field_are_not_corrected() -> None:
    assert [names(filling_its_field(seed)) for seed in range(24)] == [[]] * 24


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_coils", [4, 16])
@pytest.mark.parametrize("snr", [10.0, None])
@pytest.mark.parametrize("shift", [0, 1, -3])
def test_readouts_that_were_read_backwards_are_named(
    shape: tuple[int, int], n_coils: int, snr: float | None, shift: int
) -> None:
    kspace = sound(shape, n_coils, snr).kspace.clone()
    kspace[..., 1::2] = kspace[..., 1::2].flip(-2).roll(shift, -2)
    [finding] = check_kspace(sample(kspace)).findings
    assert (finding.name, finding.severity) == ("reversed-readouts", Severity.PROBLEM)
    assert (f"shifted by {-shift:.2f} samples" in finding.text) == (shift != 0)  # once they are reversed


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("snr", [10.0, None])
def test_backward_readouts_of_one_coil_and_a_symmetric_head_are_named(
    shape: tuple[int, int], snr: float | None
) -> None:
    kspace = sound(shape, 1, snr).kspace.clone()
    kspace[..., 1::2] = kspace[..., 1::2].flip(-2)
    assert names(sample(kspace)) == ["reversed-readouts"]


@pytest.mark.parametrize(("n_coils", "snr"), [(4, 20.0), (16, 40.0)])
@pytest.mark.parametrize("axes", [3, 4])
def test_coils_that_are_stored_as_slices_are_refused(tmp_path: Path, n_coils: int, snr: float, axes: int) -> None:
    kspace = simulated_scan((96, 80), acceleration=1, n_coils=n_coils, snr=snr).kspace
    write_fastmri(tmp_path / "a.h5", kspace if axes == 3 else kspace[:, None], header=make_header((96, 80), (96, 80)))
    [finding] = inspect_kspace(open_kspace(tmp_path / "a.h5")).findings
    assert (finding.name, finding.severity) == ("coils-as-slices", Severity.PROBLEM)
    assert f"{n_coils} coils of one slice" in finding.text
    scan = KSpaceScan.of(open_kspace(tmp_path / "a.h5"), MRIAcquisition())
    with pytest.raises(InputError, match="--accept coils-as-slices"):
        scan.checked(range(n_coils), silent)


@pytest.mark.parametrize("thickness", [0.004, 0.03, 0.1])
@pytest.mark.parametrize("snr", [10.0, 100.0])
def test_slices_of_one_coil_are_slices(tmp_path: Path, thickness: float, snr: float) -> None:
    sections = [brain_volume().section(thickness * (i - 4)) for i in range(9)]
    noise = torch.Generator().manual_seed(0)
    planes = [add_noise(section.kspace((96, 80))[None], snr, noise) for section in sections if section is not None]
    write_fastmri(tmp_path / "a.h5", planes, header=make_header((96, 80), (96, 80)))
    assert inspect_kspace(open_kspace(tmp_path / "a.h5")).findings == ()


def test_limits_of_the_header_that_lines_contradict_are_told(tmp_path: Path) -> None:
    kspace = sound().kspace.clone()
    kspace[..., :20] = 0
    header = FastMRIHeader((96, 80, 1), (96, 80, 1), limits=EncodingLimits(0, 59, 40))  # the center of 60 lines is 20
    write_fastmri(tmp_path / "a.h5", [kspace], header=header)
    found = inspect_kspace(open_kspace(tmp_path / "a.h5")).findings
    assert [finding.name for finding in found] == ["partial-fourier", "header-limits"]
    assert "lines 0 to 59 were acquired, and lines 20 to 79 hold a signal" in found[1].text


def test_a_calibration_in_the_file_that_does_not_fit_is_named_where_maps_are_missing(tmp_path: Path) -> None:
    kspace = sound().kspace
    path = tmp_path / "a.h5"
    write_fastmri(path, [kspace * (torch.arange(80) % 2 == 0)], header=make_header((96, 80), (96, 80)))
    with h5py.File(path, "a") as file:
        file["calibration_data"] = kspace[None, 1:, :, 30:50].numpy()
    scan = KSpaceScan.of(open_kspace(path), MRIAcquisition()).checked(range(1), silent)
    with pytest.raises(
        InputError, match=r"coil maps need .*; the file holds `calibration_data`, which does not fit; give"
    ):
        next(scan.problems(ZeroFilled(), torch.device("cpu")))


@pytest.mark.parametrize("shape", SHAPES)
def test_an_ellipse_that_is_full_is_named(shape: tuple[int, int]) -> None:
    kspace = sound(shape).kspace
    y, x = torch.arange(shape[0]) - shape[0] // 2, torch.arange(shape[1]) - shape[1] // 2
    inside = (2 * y[:, None] / shape[0]) ** 2 + (2 * x / shape[1]) ** 2 <= 1
    assert names(sample(kspace * inside)) == ["elliptical-scan"]
    thinned = inside & ((y[:, None] + x) % 2 == 0) | (y[:, None].abs() < 10) & (x.abs() < 10)
    assert names(sample(kspace * thinned)) == []


def test_axes_that_the_header_has_the_other_way_round_are_refused(tmp_path: Path) -> None:
    kspace = simulated_scan((96, 40), acceleration=1, n_coils=4).kspace
    header = make_header((96, 40), (48, 40))
    write_fastmri(tmp_path / "sound.h5", [kspace], header=header)
    write_fastmri(tmp_path / "exchanged.h5", [kspace.mT.contiguous()], header=header)
    assert inspect_kspace(open_kspace(tmp_path / "sound.h5")).problems == ()
    [problem] = inspect_kspace(open_kspace(tmp_path / "exchanged.h5")).problems
    assert "write numpy.swapaxes(kspace, -1, -2)" in problem


@pytest.mark.parametrize("n_slices", [4, 8])
def test_planes_of_kz_are_noted_where_no_header_tells_of_them(tmp_path: Path, n_slices: int) -> None:
    slices = torch.stack([simulated_scan((48, 40), acceleration=1, seed=k).kspace for k in range(n_slices)])
    planes = torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(slices, dim=0), dim=0), dim=0)
    for name, kspace in (("slices", slices), ("planes", planes)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["kspace"] = kspace.numpy()

    def notes(name: str) -> tuple[str, ...]:
        file = open_kspace(tmp_path / f"{name}.h5")
        checked = KSpaceScan.of(file, MRIAcquisition()).checked(range(n_slices), silent).notes
        assert [note for note in inspect_kspace(file).notes if "plane of kz" in note] == [
            note for note in checked if "plane of kz" in note
        ]
        return checked

    assert not any("plane of kz" in note for note in notes("slices"))
    assert sum("plane of kz" in note for note in notes("planes")) == 1


@pytest.mark.parametrize("kind", ["peak-off-center", "object-in-corners"])
def test_what_is_accepted_is_not_mended(tmp_path: Path, kind: str) -> None:
    kspace = sound().kspace.roll(7, -1)
    if kind == "object-in-corners":
        y, x = (1 - 2 * (torch.arange(n) % 2) for n in kspace.shape[-2:])
        kspace = sound().kspace * y[:, None] * x
    write_fastmri(tmp_path / "a.h5", [kspace], header=make_header((96, 80), (96, 80)))
    opened = open_kspace(tmp_path / "a.h5")
    assert KSpaceScan.of(opened, MRIAcquisition()).checked(range(1), silent).mending != Mending()
    accepted = KSpaceScan.of(opened, MRIAcquisition(accept=(kind,))).checked(range(1), silent)
    assert accepted.mending == Mending()
    [note] = [note for note in accepted.notes if note.endswith(f"it is left so, as {kind} is accepted")]
    assert not note.startswith("mended")
    read, _ = accepted._read(0, RootSumOfSquares())
    assert torch.equal(read.kspace, kspace)
