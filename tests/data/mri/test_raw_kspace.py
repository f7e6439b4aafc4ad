"""Raw readouts become the k-space that they were made of, whatever the order, the kind and the direction of lines."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medrecon.data.formats import Format, find_format, open_kspace
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.kspace_files import KSpaceFile
from medrecon.errors import InputError
from medrecon.planes import SlicePose
from medrecon.problem import full_reconstruction
from tests.raw_files import (
    CALIBRATION,
    CALIBRATION_AND_IMAGE,
    FEEDBACK,
    NAVIGATION,
    NOISE,
    PHASE,
    PHASE_CORRECTION,
    READ,
    REVERSE,
    SLICE,
    Readout,
    fourier,
    header,
    inverse,
    letter,
    lines,
    scan,
    write_raw,
)

SHAPE = (32, 24)  # of k-space (ky, kx)


def pose(file: KSpaceFile, index: int) -> SlicePose:
    """Where a slice lies, as the file says."""
    assert file.prescription is not None
    return file.prescription.slices[index]


def written(path: Path, readouts: list[Readout], **facts: object) -> Path:
    facts = {"matrix": (*SHAPE, 1), **facts}
    return write_raw(path / "raw.h5", header(facts.pop("matrix"), **facts), readouts)


def test_the_image_is_that_of_the_same_k_space(tmp_path: Path) -> None:
    kspace = scan(SHAPE)
    path = written(tmp_path, lines(kspace))
    assert find_format(path) is Format.ISMRMRD
    file = open_kspace(path)
    assert file.shape == (1, 4, *SHAPE)
    assert torch.equal(file[0].kspace, kspace)
    assert file[0].fully_sampled
    expected = full_reconstruction(KSpaceSample.full(kspace, None, SHAPE, "a"))
    assert torch.equal(full_reconstruction(file[0]), expected)
    assert float(expected.max()) > 0.5


def test_counters_place_lines_not_their_order(tmp_path: Path) -> None:
    """A partial Fourier scan: the center of its counters is not the middle of its lines."""
    kspace = scan(SHAPE)
    kept = range(5, 24)
    readouts = [replace(one, line=one.line - 5) for one in lines(kspace, kept)]
    sample = open_kspace(written(tmp_path, readouts[::-1], limits=[(0, 18, 7), None]))[0]
    assert torch.equal(sample.kspace[..., 5:], kspace[..., 5:])
    assert not sample.kspace[..., :5].any()
    assert sample.sampled.tolist() == [False] * 5 + [True] * 19
    assert sample.padding == (5, 24)


def test_holes_are_zero_and_told_as_undersampling(tmp_path: Path) -> None:
    kept = [line for line in range(24) if line % 3 == 0 or 8 <= line < 16]
    kspace = scan(SHAPE)
    sample = open_kspace(written(tmp_path, lines(kspace, kept)))[0]
    assert sample.sampled.nonzero().flatten().tolist() == kept
    assert not sample.fully_sampled
    assert torch.equal(sample.kspace, kspace * sample.sampled)


def test_discarded_samples_asymmetric_echoes_and_reversed_lines(tmp_path: Path) -> None:
    kspace = scan(SHAPE)
    readouts = []
    for one in lines(kspace):
        short = one.samples[:, 6:]  # the center, 16, is its sample 10 of 26
        if one.line % 2:
            readouts.append(replace(one, samples=short, center=10))
            continue
        padded = np.concatenate([np.ones((4, 3)), short[:, ::-1], np.ones((4, 2))], axis=1)
        readouts.append(replace(one, samples=padded, center=3 + 26 - 1 - 10, flags=(REVERSE,), discard=(3, 2)))
    sample = open_kspace(written(tmp_path, readouts))[0]
    assert torch.equal(sample.kspace[:, 6:], kspace[:, 6:])
    assert not sample.kspace[:, :6].any()
    assert sample.sampled.shape == SHAPE
    assert sample.fully_sampled  # but for the end of readouts


def test_averages_are_averaged_and_other_kinds_left_out(tmp_path: Path) -> None:
    kspace = scan(SHAPE)
    first, second = scan(SHAPE, noise=0.1, seed=1), scan(SHAPE, noise=0.1, seed=2)
    readouts = [*lines(first), *lines(second, counters={"average": 1})]
    junk = 100 * torch.ones_like(kspace)
    readouts += lines(junk, [3], flags=(NAVIGATION,)) + lines(junk, [4], flags=(FEEDBACK,))
    readouts += lines(junk, [5], flags=(PHASE_CORRECTION, NAVIGATION, FEEDBACK))
    sample = open_kspace(written(tmp_path, readouts))[0]
    torch.testing.assert_close(sample.kspace, (first + second) / 2)


def test_slices_stand_in_the_order_of_their_positions(tmp_path: Path) -> None:
    kspace = [scan(SHAPE, seed=k) for k in range(3)]
    heights = {0: 0.0, 2: 5.0, 1: 10.0}  # measured even ones first
    readouts = []
    for number, height in heights.items():
        place = tuple(height * along for along in SLICE)
        readouts += lines(kspace[number], counters={"slice": number}, position=place)
    readouts = readouts[::3] + readouts[1::3] + readouts[2::3]  # slices in turn
    file = open_kspace(written(tmp_path, readouts))
    for index, number in enumerate(heights):
        assert torch.equal(file[index].kspace, kspace[number])
        np.testing.assert_allclose(pose(file, index).position, np.multiply(heights[number], SLICE), atol=1e-6)
    np.testing.assert_allclose(pose(file, 0).read, READ)
    np.testing.assert_allclose(pose(file, 0).phase, PHASE)
    assert file.header.encoded_fov == (32.0, 24.0, 1.0)
    assert any("order of their positions" in note for note in file.notes)


def test_one_of_several_is_chosen_by_name(tmp_path: Path) -> None:
    kspace = [scan(SHAPE, seed=k) for k in range(3)]
    readouts = [one for k in range(3) for one in lines(kspace[k], counters={"repetition": k, "set": 7})]
    path = written(tmp_path, readouts)
    first = open_kspace(path)
    assert torch.equal(first[0].kspace, kspace[0])
    assert "3 repetitions (0, 1, 2): 0 is taken; --select repetition=NUMBER takes another" in first.notes
    assert torch.equal(open_kspace(path, select={"repetition": "2"})[0].kspace, kspace[2])
    for select, words in (
        ({"repetition": "3"}, "holds no repetition 3, it has 0, 1, 2"),
        ({"repetition": "-1"}, "a number is wanted"),
        ({"rep": "1"}, "raw files have encoding, contrast, phase, repetition, set and group"),
        ({"group": "other"}, "holds no group other"),
    ):
        with pytest.raises(InputError, match=words):
            open_kspace(path, select=select)


def test_partitions_are_transformed(tmp_path: Path) -> None:
    """A slab of 8 partitions, of which one line lacks the outermost two, and its readout is oversampled twice."""
    shape = (8, *SHAPE)
    images = torch.stack([letter(SHAPE, k) * (k + 1) for k in range(8)]).to(torch.complex64)[:, None]
    volume = fourier(images, (0, 2, 3))
    readouts = [one for z in range(8) for one in lines(volume[z], partition=z)]
    file = open_kspace(
        written(tmp_path, readouts, matrix=(*SHAPE, 8), recon=(*SHAPE, 6), recon_field=(32.0, 24.0, 6.0))
    )
    assert file.shape == (6, 1, *SHAPE)
    for index in range(6):
        torch.testing.assert_close(inverse(file[index].kspace, (-2, -1)), images[index + 1], atol=2e-6, rtol=0)
    steps = [np.subtract(pose(file, k + 1).position, pose(file, k).position) for k in range(5)]
    np.testing.assert_allclose(steps, [SLICE] * 5, atol=1e-6)
    np.testing.assert_allclose(pose(file, 3).position, (10.0, -20.0, 30.0), atol=1e-6)
    assert shape[0] == 8


def test_slabs_that_lack_partitions_are_refused(tmp_path: Path) -> None:
    kspace = scan(SHAPE)
    readouts = [one for z in range(0, 8, 2) for one in lines(kspace, partition=z)]
    with pytest.raises(InputError, match="undersampled along their partitions are not reconstructed"):
        open_kspace(written(tmp_path, readouts, matrix=(*SHAPE, 8)))


def test_encodings_are_not_mixed(tmp_path: Path) -> None:
    """A calibration scan with an encoding of its own, coarser and of other limits, gives maps and no line of the image."""
    kspace = scan(SHAPE)
    own = header((16, 12, 1), field_of_view=(32.0, 24.0, 1.0), limits=[(0, 11, 5), None])
    own = own[own.index("<encoding>") : own.index("</encoding>") + len("</encoding>")]
    center = kspace[:, 8:24, 7:19]
    readouts = [replace(one, encoding=1, flags=(CALIBRATION,)) for one in lines(10 * center)]
    kept = [line for line in range(24) if line % 2 == 0]
    readouts += lines(kspace, kept)
    file = open_kspace(written(tmp_path, readouts, encodings=own))
    sample = file[0]
    assert torch.equal(sample.kspace, kspace * sample.sampled)
    assert sample.calibration is not None
    assert torch.equal(sample.calibration[:, 8:24, 7:19], 10 * center)
    assert int((sample.calibration != 0).any(0).sum()) == 16 * 12


def test_calibration_lines_give_maps_alone(tmp_path: Path) -> None:
    kspace = scan(SHAPE)
    image = range(0, 24, 2)
    center = range(7, 17)
    readouts = []
    for line in range(24):
        if line in center:
            both = (CALIBRATION_AND_IMAGE,) if line in image else (CALIBRATION,)
            readouts += lines(kspace, [line], flags=both)
        elif line in image:
            readouts += lines(kspace, [line])
    sample = open_kspace(written(tmp_path, readouts))[0]
    assert sample.sampled.nonzero().flatten().tolist() == list(image)
    assert sample.calibration is not None
    assert (sample.calibration != 0).any(0).any(0).nonzero().flatten().tolist() == list(center)
    both = [replace(one, flags=(CALIBRATION_AND_IMAGE,)) for one in lines(kspace)]
    (tmp_path / "raw.h5").unlink()
    assert open_kspace(written(tmp_path, both))[0].calibration is None


def test_calibration_of_another_field_is_not_used(tmp_path: Path) -> None:
    own = header((16, 12, 1), field_of_view=(64.0, 24.0, 1.0))
    own = own[own.index("<encoding>") : own.index("</encoding>") + len("</encoding>")]
    kspace = scan(SHAPE)
    apart = [replace(one, encoding=1, flags=(CALIBRATION,)) for one in lines(kspace[:, :16, :12])]
    file = open_kspace(written(tmp_path, [*apart, *lines(kspace)], encodings=own))
    assert file[0].calibration is None
    assert any("of another field of view" in note for note in file.notes)


def test_noise_scans_tell_the_covariance(tmp_path: Path) -> None:
    """By the rule of bandwidths: noise sampled twice as long, of a filter that passes 0.8 of it."""
    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(4, 4)) + 1j * generator.normal(size=(4, 4))
    white = (generator.normal(size=(4, 4000)) + 1j * generator.normal(size=(4, 4000))) / 2**0.5
    noise = [Readout(part, flags=(NOISE,), dwell=10.0) for part in np.split(mixing @ white, 40, axis=1)]
    kspace = scan(SHAPE)
    file = open_kspace(written(tmp_path, [*noise, *lines(kspace)], bandwidth=0.8))
    expected = mixing @ mixing.conj().T * 10 / (5 * 0.8)
    covariance = file.noise_covariance
    assert covariance is not None
    assert np.abs(covariance.numpy() - expected).max() < 0.06 * np.abs(expected).max()
    assert torch.equal(file[0].kspace, kspace)
    for broken in ([noise[0]], [replace(one, samples=one.samples[:3]) for one in noise]):
        (tmp_path / "raw.h5").unlink()
        broken[0] = replace(broken[0], samples=broken[0].samples[:, :4])
        other = open_kspace(written(tmp_path, [*broken, *lines(kspace)]))
        assert other.noise_covariance is None
        assert any("are not used" in note for note in other.notes)


def test_noise_may_lie_in_a_group_before(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    noise = [Readout(generator.normal(size=(4, 64)) + 1j, flags=(NOISE,)) for _ in range(4)]
    path = written(tmp_path, noise)
    write_raw(path, header((*SHAPE, 1)), lines(scan(SHAPE)), "dataset_10")
    write_raw(path, header((*SHAPE, 1)), lines(scan(SHAPE, seed=1)), "dataset_2")
    file = open_kspace(path)
    assert torch.equal(file[0].kspace, scan(SHAPE))
    assert file.noise_covariance is not None
    assert file.notes[0].startswith("3 groups of readouts (dataset, dataset_2, dataset_10): dataset_10 is taken")
    other = open_kspace(path, select={"group": "dataset_2"})
    assert torch.equal(other[0].kspace, scan(SHAPE, seed=1))


def test_directions_of_lines_are_made_alike_by_reference_lines(tmp_path: Path) -> None:
    """An echo-planar scan: reversed lines are shifted and turned, and what drifts from echo to echo cancels in the outer two."""
    kspace = scan(SHAPE)
    rows = inverse(kspace, (-2,))
    x = torch.arange(32) - 16
    ghost = torch.polar(torch.ones(32), -(0.05 * x + 0.3))[:, None]
    turned = fourier(rows * ghost, (-2,))
    readouts = []
    for echo, (line, reverse) in enumerate(((12, True), (12, False), (12, True))):
        drift = np.exp(0.2j * (echo - 1))
        values = (turned if reverse else kspace)[:, :, line].numpy() * drift
        flags = (PHASE_CORRECTION, NAVIGATION, FEEDBACK, *((REVERSE,) if reverse else ()))
        readouts.append(
            Readout(values[:, ::-1] if reverse else values, line, flags=flags, center=15 if reverse else 16)
        )
    for line in range(24):
        reverse = line % 2 == 1
        values = (turned if reverse else kspace)[:, :, line].numpy()
        flags, center = ((REVERSE,), 15) if reverse else ((), 16)
        readouts.append(Readout(values[:, ::-1] if reverse else values, line, flags=flags, center=center))
    for center in (15, 16):  # the sample at the center, or the same number for both directions
        stated = [replace(one, center=center) if one.center == 15 else one for one in readouts]
        file = open_kspace(written(tmp_path, stated, trajectory="epi"))
        torch.testing.assert_close(file[0].kspace, kspace, atol=2e-5, rtol=0)
        (tmp_path / "raw.h5").unlink()
    left = open_kspace(written(tmp_path, readouts[3:], trajectory="epi"))
    assert float((left[0].kspace - kspace).abs().max()) > 0.1
    assert any("there are no reference lines" in note for note in left.notes)


def test_readout_oversampling_is_cropped_by_the_fields(tmp_path: Path) -> None:
    kspace = scan((64, 24))
    path = written(tmp_path, lines(kspace), matrix=(64, 24, 1), recon=(32, 24, 1))
    file = open_kspace(path)
    assert file.oversampling == 2
    assert file.matrix == (32, 24)
    assert file[0].kspace.shape == (4, 64, 24)
    expected = inverse(kspace, (-2, -1)).abs().square().sum(0).sqrt()[16:48]
    torch.testing.assert_close(full_reconstruction(file[0]), expected, atol=1e-6, rtol=1e-5)


def test_directions_of_siemens_belong_to_a_forward_transform(tmp_path: Path) -> None:
    file = open_kspace(written(tmp_path, lines(scan(SHAPE)), vendor="SIEMENS"))
    assert file.acquisitions.header.is_mirrored
    assert torch.equal(file[0].kspace, scan(SHAPE))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trajectory": "spiral"}, "its trajectory is 'spiral', and Cartesian k-space alone is reconstructed"),
        (
            {"limits": [(0, 23, 5), None]},
            "counters of lines run from 0 to 23 with the center at 5, beyond the encoded matrix",
        ),
        ({"matrix": (*SHAPE, 16384)}, "asks for k-space of"),
        ({"matrix": (0, 24, 1)}, "encodedSpace/matrixSize"),
    ],
)
def test_headers_that_cannot_be(tmp_path: Path, change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_kspace(written(tmp_path, lines(scan(SHAPE)), **change))


@pytest.mark.parametrize(
    ("readouts", "words"),
    [
        ([Readout(np.ones((4, 32)), flags=(NOISE,))], "1 noise scan, .* and no line of an image"),
        ([*lines(scan(SHAPE)), Readout(np.ones((3, 32)))], "have 3, 4 coils; divide the file"),
        ([Readout(np.ones((4, 32)), discard=(30, 2))], "no samples left"),
        ([Readout(np.ones((4, 32)), center=40)], "lies outside of its samples"),
        ([Readout(np.ones((4, 32)), encoding=2)], "lines are of encoding 2, and the header has 1 encoding"),
    ],
)
def test_readouts_that_contradict_each_other(tmp_path: Path, readouts: list[Readout], words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_kspace(written(tmp_path, readouts))


def test_nothing_is_read_but_the_slice(tmp_path: Path) -> None:
    readouts = [one for k in range(3) for one in lines(scan(SHAPE, seed=k), counters={"slice": k})]
    file = open_kspace(written(tmp_path, readouts))
    read: list[int] = []
    samples = file.acquisitions.samples

    def watched(places: np.ndarray) -> object:
        read.extend(places.tolist())
        return samples(places)

    file.acquisitions = replace(file.acquisitions, samples=watched)
    file[1]
    assert read == list(range(24, 48))


def test_calibration_lines_beyond_the_readouts_of_the_image_are_cut(tmp_path: Path) -> None:
    """A calibration of twice the resolution along the readout: what lies beyond the image's k-space is left out."""
    own = header((64, 24, 1), field_of_view=(32.0, 24.0, 1.0))
    own = own[own.index("<encoding>") : own.index("</encoding>") + len("</encoding>")]
    kspace, finer = scan(SHAPE), scan((64, 24), seed=1)
    far = Readout(finer[:, :8, 12].numpy(), 12, flags=(CALIBRATION,), encoding=1, center=0)
    far = replace(far, samples=np.zeros((4, 64)), center=63, line=3)
    apart = [replace(one, encoding=1, flags=(CALIBRATION,)) for one in lines(finer) if one.line != 3]
    sample = open_kspace(written(tmp_path, [*apart, far, *lines(kspace)], encodings=own))[0]
    assert sample.calibration is not None
    kept = [line for line in range(24) if line != 3]
    assert torch.equal(sample.calibration[..., kept], finer[:, 16:48][..., kept])
    assert not sample.calibration[..., 3].any()
