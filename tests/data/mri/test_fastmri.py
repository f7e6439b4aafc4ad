import os
import pickle
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from medrecon.data.formats import find_format, open_kspace, open_sinograms
from medrecon.data.mri.fastmri import FastMRIFile, KSpaceSample, detect_sampling, find_fastmri_files
from medrecon.data.mri.fastmri_header import EncodingLimits, make_header, write_header
from medrecon.data.mri.writing import write_fastmri
from medrecon.errors import InputError
from medrecon.modality import Modality

KY, KX, COILS, SLICES = 32, 20, 3, 2
HEADER = make_header((KY, KX), (16, 14), padding=(2, 19), acquisition="AXT2", patient_id="p7")
Edit = Callable[[h5py.File], object]


def measured(*shape: int, seed: int = 0) -> np.ndarray:
    draws = np.random.default_rng(seed).standard_normal((2, *shape)).astype(np.float32)
    return (draws[0] + 1j * draws[1]).astype(np.complex64)


def padded() -> np.ndarray:
    kspace = measured(SLICES, COILS, KY, KX)
    kspace[..., :2] = 0
    kspace[..., 19:] = 0
    return kspace


def write(path: Path, kspace: object, edit: Edit | None = None) -> Path:
    with h5py.File(path, "w") as file:
        if kspace is not None:
            file["kspace"] = kspace
        file["ismrmrd_header"] = write_header(HEADER)
        if edit is not None:
            edit(file)
    return path


def add(name: str, value: object) -> Edit:
    def edit(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file[name] = value

    return edit


def drop(name: str) -> Edit:
    return lambda file: file.pop(name)


def test_reads_a_slice_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    targets = np.random.default_rng(1).random((SLICES, 16, 14))

    def edit(file: h5py.File) -> None:
        file["reconstruction_rss"] = targets
        file.attrs["max"] = np.array([0.9])
        file.attrs["acquisition"] = b"CORPD_FBK"

    kspace = padded()
    file = FastMRIFile(write(tmp_path / "a.h5", kspace, edit))
    sample = file[-1]
    assert (len(file), file.shape, file.notes) == (2, (SLICES, COILS, KY, KX), ())
    assert (file.header.acquisition, file.header.patient_id) == ("CORPD_FBK", "p7")
    assert (sample.kspace.dtype, sample.sampled.dtype) == (torch.complex64, torch.bool)
    assert np.array_equal(sample.kspace.numpy(), kspace[1])
    assert sample.target is not None
    assert sample.target.dtype == torch.float32
    assert np.array_equal(sample.target.numpy(), targets[1].astype(np.float32))
    assert (sample.name, sample.slice_index, sample.maximum) == ("a.h5", 1, 0.9)
    assert (sample.matrix, sample.oversampling, sample.padding) == ((16, 14), 2.0, (2, 19))


def test_padding_is_not_undersampling(tmp_path: Path) -> None:
    sample = FastMRIFile(write(tmp_path / "a.h5", padded()))[0]
    assert sample.sampled.tolist() == [2 <= k < 19 for k in range(KX)]
    assert sample.fully_sampled
    assert sample.true_acceleration == 1


def test_missing_lines_are_undersampling(tmp_path: Path) -> None:
    kspace = padded()
    kspace[..., 3:8] = 0
    sample = FastMRIFile(write(tmp_path / "a.h5", kspace))[0]
    assert not sample.fully_sampled
    assert sample.true_acceleration == 17 / 12


@pytest.mark.parametrize(("empty", "full"), [(slice(15, None), True), (slice(8, None), False)])
def test_without_a_header_few_zero_lines_at_the_edge_are_padding(tmp_path: Path, empty: slice, full: bool) -> None:
    kspace = measured(SLICES, COILS, KY, KX)
    kspace[..., empty] = 0
    sample = FastMRIFile(write(tmp_path / "a.h5", kspace, drop("ismrmrd_header")))[0]
    assert sample.fully_sampled is full


def test_acquired_lines_beyond_the_headers_padding_count(tmp_path: Path) -> None:
    sample = FastMRIFile(write(tmp_path / "a.h5", measured(SLICES, COILS, KY, KX)))[0]
    assert sample.padding == (0, KX)
    assert sample.fully_sampled


LINES = np.arange(KX) % 3 == 0
POINTS = np.random.default_rng(5).random((KY, KX)) < 0.4


@pytest.mark.parametrize(
    "mask",
    [
        LINES,
        LINES[None].astype(np.uint8),
        LINES.astype(np.float32).reshape(1, 1, KX, 1),
        np.stack([LINES] * SLICES),
        np.broadcast_to(LINES, (KY, KX)),
        np.broadcast_to(LINES, (SLICES, KY, KX)),
    ],
)
def test_masks_of_lines_in_every_shape(tmp_path: Path, mask: np.ndarray) -> None:
    kspace = padded()
    sample = FastMRIFile(write(tmp_path / "a.h5", kspace, add("mask", mask)))[1]
    assert sample.sampled.tolist() == (LINES & (np.arange(KX) >= 2) & (np.arange(KX) < 19)).tolist()
    assert np.array_equal(sample.kspace.numpy(), kspace[1] * LINES)  # what the mask leaves out is not handed on
    assert sample.true_acceleration == 17 / 6


@pytest.mark.parametrize("mask", [POINTS, POINTS[None].astype(np.int64)])
def test_masks_of_points(tmp_path: Path, mask: np.ndarray) -> None:
    sample = FastMRIFile(write(tmp_path / "a.h5", measured(SLICES, COILS, KY, KX), add("mask", mask)))[0]
    assert np.array_equal(sample.sampled.numpy(), POINTS)
    assert sample.true_acceleration == pytest.approx(POINTS.size / POINTS.sum())


def test_sampling_is_seen_in_the_data(tmp_path: Path) -> None:
    kspace = measured(SLICES, COILS, KY, KX)
    write(tmp_path / "lines.h5", kspace * LINES)
    write(tmp_path / "points.h5", kspace * POINTS)
    assert FastMRIFile(tmp_path / "lines.h5")[0].sampled.tolist() == LINES.tolist()
    assert np.array_equal(FastMRIFile(tmp_path / "points.h5")[0].sampled.numpy(), POINTS)


def test_detection_tells_stray_zeros_partial_echoes_and_tiny_values() -> None:
    peak = torch.full((KY, KX), 1e-38) * torch.as_tensor(LINES)
    peak[4, 6] = 0
    assert detect_sampling(peak).tolist() == LINES.tolist()
    peak[:9] = 0
    echo = detect_sampling(peak)
    assert echo.shape == (KY, KX)
    assert torch.equal(echo, torch.arange(KY)[:, None].ge(9) & torch.as_tensor(LINES))


@pytest.mark.parametrize(
    "convert",
    [
        lambda k: k.astype(np.complex128),
        lambda k: k.astype(">c8"),
        lambda k: np.rec.fromarrays([k.real, k.imag], names="r,i"),
        lambda k: np.rec.fromarrays([k.real, k.imag], names="real,imag"),
        lambda k: np.rec.fromarrays([k.real.astype(">f8"), k.imag.astype(">f8")], names="re,im"),
    ],
)
def test_every_complex_type_is_accepted(tmp_path: Path, convert: Callable[[np.ndarray], np.ndarray]) -> None:
    kspace = padded()
    sample = FastMRIFile(write(tmp_path / "a.h5", convert(kspace)))[1]
    assert sample.kspace.dtype == torch.complex64
    assert np.array_equal(sample.kspace.numpy(), kspace[1])


def test_a_single_coil_file_gets_a_coil_axis(tmp_path: Path) -> None:
    target = np.ones((SLICES, 16, 14), np.float32)
    file = FastMRIFile(write(tmp_path / "a.h5", padded()[:, 0], add("reconstruction_esc", target)))
    assert file.shape == (SLICES, 1, KY, KX)
    assert file[0].kspace.shape == (1, KY, KX)
    assert file.target_name == "reconstruction_esc"


def test_a_target_wider_than_k_space_is_cropped_to_its_center(tmp_path: Path) -> None:
    target = np.random.default_rng(0).random((SLICES, 16, KX + 4), np.float32)
    file = FastMRIFile(write(tmp_path / "a.h5", padded(), add("reconstruction_rss", target)))
    assert file.matrix == (16, KX)
    assert file.notes
    sample = file[0]
    assert sample.target is not None
    assert np.array_equal(sample.target.numpy(), target[0][:, 2:-2])


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (drop("kspace"), r"no data set `kspace`, it holds ismrmrd_header"),
        (lambda f: (drop("kspace")(f), f.create_group("dataset")), "raw ISMRMRD data"),
        (lambda f: (drop("kspace")(f), f.create_group("kspace")), "`kspace` is a group, and a data set is wanted"),
        (add("kspace", np.ones((2, 3, 8, 8), np.float32)), "k-space is complex"),
        (add("kspace", np.ones((2, 3, 8, 8, 2), np.float32)), "join its last axis"),
        (add("kspace", np.ones((8, 8), np.complex64)), r"takes \(slice, coil, ky, kx\)"),
        (add("kspace", np.ones((1, 2, 3, 8, 8), np.complex64)), r"takes \(slice, coil, ky, kx\)"),
        (add("kspace", np.ones((0, 3, 8, 8), np.complex64)), "nothing in it"),
        (add("kspace", np.ones((2, 3, 8, 0), np.complex64)), "nothing in it"),
        (add("kspace", h5py.Empty("c8")), "`kspace` is empty, it has no shape"),
        (add("mask", np.ones(KX + 1)), rf"`mask` is \({KX + 1},\) float64, k-space takes \({KX},\)"),
        (add("mask", np.ones((KX, KY))), "`mask` is"),
        (add("mask", np.ones((SLICES + 1, KX))), "`mask` is"),
        (add("mask", b"yes"), "`mask` is"),
        (add("ismrmrd_header", "<a>"), "`ismrmrd_header` cannot be read: it is not XML"),
        (add("ismrmrd_header", "<ismrmrdHeader/>"), "encodedSpace/matrixSize"),
        (add("reconstruction_rss", np.ones((16, 14))), "`reconstruction_rss` is"),
        (add("reconstruction_rss", np.ones((SLICES + 1, 16, 14))), "`reconstruction_rss` is"),
        (add("reconstruction_rss", np.ones((SLICES, 16, 14), np.complex64)), "`reconstruction_rss` is"),
    ],
)
def test_files_of_another_kind_are_refused_in_one_line(tmp_path: Path, edit: Edit, words: str) -> None:
    path = write(tmp_path / "a.h5", padded(), edit)
    with pytest.raises(InputError, match=words) as caught:
        FastMRIFile(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (Path.unlink, "does not exist"),
        (lambda p: (p.unlink(), p.mkdir()), "is a folder"),
        (lambda p: p.write_text("<html>not found</html>"), "not an HDF5 file"),
        (lambda p: p.write_bytes(b""), "empty, 0 bytes"),
        (lambda p: p.write_bytes(b"\x1f\x8b" + b"0" * 90), "unpack it first"),
        (lambda p: p.write_bytes(p.read_bytes()[:30]), "damaged|truncated"),
        (truncate, r"truncated: \d+ bytes of \d+; fetch it again"),
    ],
)
def test_broken_files_are_refused_in_one_line(tmp_path: Path, spoil: Callable[[Path], object], words: str) -> None:
    path = write(tmp_path / "a.h5", padded())
    spoil(path)
    with pytest.raises(InputError, match=words) as caught:
        FastMRIFile(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.nan, "NaN or infinite at 1 samples"),
        (np.inf, "NaN or infinite"),
        (1e300, "NaN or infinite"),
        (1e37, r"goes up to 1e\+37, whose energy no single precision holds; divide all of it by one number"),
        (0, "zero everywhere"),
    ],
)
def test_a_bad_slice_fails_alone(tmp_path: Path, value: float, words: str) -> None:
    kspace = padded().astype(np.complex128)
    if value == 0:
        kspace[1] = 0
    else:
        kspace[1, 2, 5, 6] = value
    file = FastMRIFile(write(tmp_path / "a.h5", kspace))
    assert file[0].fully_sampled
    with pytest.raises(InputError, match=rf"a\.h5: slice 1 .*{words}"):
        file[1]
    assert file.raw(1).shape == (COILS, KY, KX)


def test_a_mask_that_keeps_nothing_and_a_target_of_nan_fail_the_slice(tmp_path: Path) -> None:
    write(tmp_path / "mask.h5", padded(), add("mask", np.arange(KX) < 2))
    write(tmp_path / "target.h5", padded(), add("reconstruction_rss", np.full((SLICES, 16, 14), np.nan)))
    with pytest.raises(InputError, match=r"slice 0 .*`mask`"):
        FastMRIFile(tmp_path / "mask.h5")[0]
    with pytest.raises(InputError, match=r"slice 0 .*`reconstruction_rss`"):
        FastMRIFile(tmp_path / "target.h5")[0]


def test_damage_inside_a_slice_is_told_of_that_slice(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", data=padded(), chunks=(1, COILS, KY, KX), fletcher32=True)
        place = file["kspace"].id.get_chunk_info(1).byte_offset
    with path.open("r+b") as raw:
        raw.seek(place + 40)
        raw.write(b"damage")
    file = FastMRIFile(path)
    assert len(file[0].kspace) == COILS
    with pytest.raises(InputError, match=r"slice 1 .*damaged"):
        file[1]


def test_indices_outside_the_file_are_refused(tmp_path: Path) -> None:
    file = FastMRIFile(write(tmp_path / "a.h5", padded()))
    assert [sample.slice_index for sample in file] == [0, 1]
    for index in (2, -3):
        with pytest.raises(IndexError, match="2 slices"):
            file[index]


def test_memory_grows_with_a_slice_and_not_with_the_file(tmp_path: Path) -> None:
    kspace = torch.from_numpy(measured(4, 128, 100))
    write_fastmri(tmp_path / "a.h5", (kspace for _ in range(30)), header=make_header((128, 100), (64, 64)))
    tracemalloc.start()  # numpy reports what it allocates, and all that is read goes through numpy
    file = FastMRIFile(tmp_path / "a.h5")
    for sample in file:
        assert sample.kspace.shape == (4, 128, 100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * kspace.nbytes


def identity(sample: KSpaceSample) -> KSpaceSample:
    return sample


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_may_share_a_file(tmp_path: Path) -> None:
    file = FastMRIFile(write(tmp_path / "a.h5", padded()))
    loader: DataLoader[KSpaceSample] = DataLoader(
        file, batch_size=None, num_workers=2, collate_fn=identity, multiprocessing_context="fork"
    )
    for _ in range(2):
        assert [(s.slice_index, s.kspace.shape) for s in loader] == [(0, (COILS, KY, KX)), (1, (COILS, KY, KX))]
    assert pickle.loads(pickle.dumps(file))[1].slice_index == 1


def test_inputs_are_files_and_folders(tmp_path: Path) -> None:
    for name in ("b.h5", "a.hdf5", ".hidden.h5", "c.txt", "deep/er/d.h5"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_fastmri_files([tmp_path / "b.h5", tmp_path, tmp_path / "deep"])
    assert found == [tmp_path / "b.h5", tmp_path / "a.hdf5", tmp_path / "deep/er/d.h5"]
    (tmp_path / "empty").mkdir()
    for inputs, words in (
        ([tmp_path / "no.h5"], "no such file"),
        ([tmp_path / ("x" * 300)], "too long"),
        ([tmp_path / "empty"], "holds no"),
        ([], "no input"),
    ):
        with pytest.raises(InputError, match=words):
            find_fastmri_files(inputs)


@pytest.mark.parametrize("link", [h5py.SoftLink("/raw/kspace"), h5py.ExternalLink("missing.h5", "/kspace")])
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, link: object) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = link
    for read in (FastMRIFile, find_format):
        with pytest.raises(InputError, match=r"`kspace` is a link to .*/kspace, which is not there; copy it too"):
            read(tmp_path / "a.h5", allow_external=True)


@pytest.mark.parametrize("coils", [2, 6, 12])
def test_real_and_imaginary_parts_in_turn_are_named(tmp_path: Path, coils: int) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = np.zeros((2, 40, 32, 2 * coils), np.float32)
    with pytest.raises(InputError, match=f"may be real and imaginary parts in turn of {coils} coils: join them"):
        FastMRIFile(tmp_path / "a.h5")


@pytest.mark.parametrize("name", ["data", "ksp", "kspace_full"])
@pytest.mark.parametrize("shape", [(5, 24, 20), (2, 3, 24, 20)])
def test_complex_arrays_are_no_sinograms(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    kspace = np.ones(shape, np.complex64)
    np.save(tmp_path / "a.npy", kspace)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[name] = kspace
    for file_name in ("a.npy", "a.h5"):
        assert find_format(tmp_path / file_name).modality is Modality.MRI
        with pytest.raises(InputError, match=r"holds .*not .*sinograms"):
            open_sinograms(tmp_path / file_name)
        with pytest.raises(InputError, match=r"nothing tells what its axes are; name them by --axes, such as"):
            open_kspace(tmp_path / file_name)


def test_a_header_that_makes_far_more_of_k_space_than_there_is_is_refused(tmp_path: Path) -> None:
    header = replace(HEADER, encoded_matrix=(KY, 60_000, 1), limits=EncodingLimits(0, KX - 1, 2))
    path = write(tmp_path / "a.h5", padded(), add("ismrmrd_header", write_header(header)))
    with pytest.raises(InputError, match=r"`ismrmrd_header` asks for k-space of \(\d+, 60000\), and `kspace` has"):
        FastMRIFile(path)


@pytest.mark.parametrize("value", [np.zeros((2, 2)), np.float32(3), h5py.Empty("S1"), np.array([b"a", b"b"])])
def test_a_header_that_is_no_text_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(InputError, match=r"`ismrmrd_header` is (no text|empty)"):
        FastMRIFile(write(tmp_path / "a.h5", padded(), add("ismrmrd_header", value)))


@pytest.mark.parametrize(
    "value", [np.inf, np.nan, 1e308, b"text", np.zeros(0), h5py.Empty("f4"), np.zeros((2, 2), "c8")]
)
def test_a_maximum_that_is_no_number_is_left_out(tmp_path: Path, value: object) -> None:
    path = write(tmp_path / "a.h5", padded(), lambda file: file.attrs.__setitem__("max", value))
    assert FastMRIFile(path).maximum in (None, 0.0)
