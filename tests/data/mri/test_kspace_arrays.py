"""K-space in arrays of any format and order of axes, and with a calibration elsewhere: all give what fastMRI's format gives."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from numpy.typing import NDArray

from medrecon.axes import KSpaceAxis, parse_axes
from medrecon.data.cfl import BartAxis, read_cfl, write_cfl
from medrecon.data.formats import Format, find_format, open_kspace
from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.writing import write_fastmri
from medrecon.errors import InputError
from tests.kspace_files import simulated_scan
from tests.program import medrecon

SLICES, COILS, KY, KX = 2, 4, 48, 40


def kspace() -> NDArray[np.complex64]:
    """K-space of a phantom, `(slice, coil, ky, kx)`, its slices of other brightness."""
    one = simulated_scan((KY, KX), acceleration=1, n_coils=COILS, snr=200.0).kspace.numpy()
    return np.stack([(1 + k / 2) * one for k in range(SLICES)]).astype(np.complex64)


K = kspace()
PAIRS = np.stack([K.real, K.imag], -1)


def hdf5(path: Path, **data: object) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in data.items():
            file[name] = values
    return path


def compound(values: NDArray[np.complex64]) -> NDArray[np.void]:
    both = np.empty(values.shape, [("real", "f4"), ("imag", "f4")])
    both["real"], both["imag"] = values.real, values.imag
    return both


def matlab(path: Path, name: str, values: NDArray[np.complex64]) -> Path:
    """A file as MATLAB writes it since version 7.3: HDF5 after a header, its axes in the reverse order."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file[name] = compound(values)
        file[name].attrs["MATLAB_class"] = np.bytes_("single")
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: PCWIN64".ljust(116))
    return path


def saved(path: Path, save: Callable[..., object], values: object) -> Path:
    save(path, values)
    return path


NAMED: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "npy": ("slice,coil,y,x", lambda d: saved(d / "k.npy", np.save, K)),
    "npy in another order": ("coil,x,slice,y", lambda d: saved(d / "k.npy", np.save, K.transpose(1, 3, 0, 2))),
    "npy in Fortran's order": ("slice,coil,y,x", lambda d: saved(d / "k.npy", np.save, np.asfortranarray(K))),
    "pairs": ("slice,coil,y,x,pair", lambda d: saved(d / "k.npy", np.save, PAIRS)),
    "pairs first": ("pair,slice,coil,y,x", lambda d: saved(d / "k.npy", np.save, np.moveaxis(PAIRS, -1, 0))),
    "in turn": (
        "slice,y,x,coil",
        lambda d: saved(d / "k.npy", np.save, np.moveaxis(PAIRS, 1, -2).reshape(SLICES, KY, KX, 2 * COILS)),
    ),
    "npz": ("slice,coil,y,x", lambda d: saved(d / "k.npz", lambda p, v: np.savez_compressed(p, ksp=v), K)),
    "mat": ("slice,coil,y,x", lambda d: saved(d / "k.mat", lambda p, v: scipy.io.savemat(p, {"ksp": v}), K)),
    "HDF5 of another name": ("slice,coil,y,x", lambda d: hdf5(d / "k.h5", ksp=K)),
    "HDF5 of pairs": ("slice,coil,y,x", lambda d: hdf5(d / "k.h5", raw=compound(K))),
}
KNOWN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "CMRxRecon": (
        lambda d: matlab(d / "cine.mat", "kspace_full", K[None].swapaxes(-1, -2)),
        "taken as y,x,coil,slice,frame, as CMRxRecon has `kspace_full`",
    ),
    "Calgary-Campinas": (
        lambda d: hdf5(d / "e.h5", kspace=np.moveaxis(PAIRS, 1, -2).reshape(SLICES, KY, KX, 2 * COILS)),
        "taken as slice,y,x,coil, real and imaginary parts in turn, as Calgary-Campinas has it",
    ),
    "SKM-TEA": (
        lambda d: hdf5(d / "s.h5", kspace=np.moveaxis(K, 1, -1)[..., None, :], maps=np.ones(3), target=np.ones(3)),
        "taken as slice,y,x,frame,coil, as SKM-TEA has it, echoes as frames",
    ),
}


def require_kspace(path: Path, axes: str | None = None) -> tuple[str, ...]:
    file = open_kspace(path, axes=None if axes is None else parse_axes(axes, KSpaceAxis))
    assert file.shape == (SLICES, COILS, KY, KX)
    for index, sample in enumerate(file):
        np.testing.assert_array_equal(sample.kspace.numpy(), K[index])
    return file.notes


@pytest.mark.parametrize("kind", NAMED)
def test_named_axes_give_the_same_kspace(tmp_path: Path, kind: str) -> None:
    axes, make = NAMED[kind]
    path = make(tmp_path)
    assert find_format(path, axes=axes) is Format.KSPACE_ARRAY
    require_kspace(path, axes)


@pytest.mark.parametrize("kind", KNOWN)
def test_layouts_that_are_certain_are_taken_and_told(tmp_path: Path, kind: str) -> None:
    make, says = KNOWN[kind]
    assert says in require_kspace(make(tmp_path))[0]


def test_a_plane_is_of_a_single_coil(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", K[0, 0])
    assert open_kspace(tmp_path / "k.npy").shape == (1, 1, KY, KX)


def test_one_command_reconstructs_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", K[0])
    write_fastmri(tmp_path / "k.h5", [torch.from_numpy(K[0])], header=make_header((KY, KX), (KY, KX)))
    images = []
    for name, axes in (("k.npy", ("--axes", "coil,y,x")), ("k.h5", ())):
        asked = (tmp_path / name, *axes)
        assert medrecon("inspect", *asked).status == 0
        done = medrecon("reconstruct", *asked, "-o", tmp_path / "o.h5", "--method", "rss", "--overwrite")
        assert done.status == 0, done.err
        with h5py.File(tmp_path / "o.h5") as file:
            images.append(file["reconstruction"][:])
    np.testing.assert_array_equal(images[0], images[1])


HALF = np.arange(KX) % 2 == 0


def test_maps_come_from_a_calibration_beside_or_in_the_file(tmp_path: Path) -> None:
    header = make_header((KY, KX), (KY, KX))
    write_fastmri(tmp_path / "a.h5", [torch.from_numpy(k * HALF) for k in K], header=header)
    center = K[..., KX // 2 - 12 : KX // 2 + 12]
    asked = ("reconstruct", tmp_path / "a.h5", "-o", tmp_path / "o.h5", "--method", "sense", "--overwrite")
    assert "--calibration, or, if slices are frames of a series, --axes frame,coil,y,x" in medrecon(*asked).complaint
    np.save(tmp_path / "c.npy", center)
    write_cfl(tmp_path / "c.cfl", center, (BartAxis.SLICE, BartAxis.COIL, BartAxis.READ, BartAxis.PHS1))
    images = []
    for beside in ("c.npy", "c.cfl", None):
        if beside is None:
            with h5py.File(tmp_path / "a.h5", "a") as file:
                file["calibration_data"] = center
        done = medrecon(*asked, *(() if beside is None else ("--calibration", tmp_path / beside)))
        assert done.status == 0, done.err
        assert "coil maps are estimated from" in done.out
        with h5py.File(tmp_path / "o.h5") as file:
            images.append(file["reconstruction"][:])
    truth = np.sqrt((abs(_image(K)) ** 2).sum(1))
    folded = np.sqrt((abs(_image(K * HALF)) ** 2).sum(1))
    for image in images:
        np.testing.assert_array_equal(image, images[0])
        assert np.linalg.norm(image - truth) < 0.25 * np.linalg.norm(truth) < np.linalg.norm(folded - truth) / 2


def test_maps_of_a_series_come_from_the_mean_of_its_frames(tmp_path: Path) -> None:
    frames = np.zeros((4, *K.shape[1:]), np.complex64)
    for k in range(4):
        frames[k, ..., k::4] = K[0, ..., k::4]
    np.save(tmp_path / "v.npy", frames)
    file = open_kspace(tmp_path / "v.npy", axes=parse_axes("frame,coil,y,x", KSpaceAxis))
    for sample in file:
        assert sample.calibration is not None
        np.testing.assert_allclose(sample.calibration.numpy(), K[0], rtol=1e-5)
    np.save(tmp_path / "full.npy", np.stack([K[0], K[0]]))
    whole = open_kspace(tmp_path / "full.npy", axes=parse_axes("frame,coil,y,x", KSpaceAxis))
    assert all(sample.calibration is None for sample in whole)


def test_a_scan_within_an_ellipse_is_full_and_masks_are_drawn_within_it(tmp_path: Path) -> None:
    y, x = np.meshgrid(np.arange(KY) - KY // 2, np.arange(KX) - KX // 2, indexing="ij")
    inside = (y / (KY / 2)) ** 2 + (x / (KX / 2)) ** 2 <= 1
    write_fastmri(tmp_path / "e.h5", [torch.from_numpy(K[0] * inside)], header=make_header((KY, KX), (KY, KX)))
    [sample] = open_kspace(tmp_path / "e.h5")
    assert (sample.fully_sampled, sample.true_acceleration) == (True, 1.0)
    asked = ("--mask", "poisson", "--acceleration", "2", "--json", tmp_path / "o.json", "--method", "sense")
    done = medrecon("reconstruct", tmp_path / "e.h5", "-o", tmp_path / "o.h5", *asked)
    assert done.status == 0, done.err
    assert f"of {int(inside.sum())} samples, true acceleration" in done.out
    assert "PSNR" in done.out.upper()


def test_a_pair_of_bart_is_written_and_read(tmp_path: Path) -> None:
    axes = (BartAxis.SLICE, BartAxis.COIL, BartAxis.READ, BartAxis.PHS1)
    write_cfl(tmp_path / "k", K, axes)
    for name in ("k", "k.cfl", "k.hdr"):
        assert find_format(tmp_path / name) is Format.CFL
        require_kspace(tmp_path / name)
    stored = read_cfl(tmp_path / "k.cfl")
    assert stored.shape == (KY, KX, 1, COILS, *[1] * 9, SLICES, 1, 1)
    np.testing.assert_array_equal(stored[:, :, 0, :, 0, 0, 0, 0, 0, 0, 0, 0, 0, :, 0, 0], K.transpose(2, 3, 1, 0))
    with pytest.raises(InputError, match="exists"):
        write_cfl(tmp_path / "k", K, axes)


@pytest.mark.skipif(which("bart") is None, reason="the program bart is not installed")
@pytest.mark.parametrize("size", ["32", "33"])
def test_kspace_is_that_of_the_program_bart(tmp_path: Path, size: str) -> None:
    def bart(*words: str) -> str:
        return subprocess.run(["bart", *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    bart("phantom", "-k", "-s", "8", "-x", size, "k")
    bart("fft", "-u", "-i", "3", "k", "image")
    file = open_kspace(tmp_path / "k.cfl")
    images = _image(file[0].kspace.numpy())
    write_cfl(tmp_path / "own", images, (BartAxis.COIL, BartAxis.READ, BartAxis.PHS1))
    assert float(bart("nrmse", "image", "own")) < 1e-6


WRONG: dict[str, tuple[Callable[[Path], Path], str]] = {
    "header alone": (lambda d: _pair(d, numbers=None), r"a\.hdr: a\.cfl is missing beside it"),
    "numbers alone": (lambda d: _pair(d, header=None), r"a\.cfl: a\.hdr is missing beside it"),
    "cut": (lambda d: _pair(d, numbers=bytes(100)), "holds 100 bytes, and a.hdr says 4 x 4 x 1 x 2"),
    "too long": (lambda d: _pair(d, numbers=bytes(999)), "holds 999 bytes"),
    "header of words": (lambda d: _pair(d, header="# Dimensions\nfour 4\n"), "has no line of up to 16 sizes"),
    "header of nothing": (lambda d: _pair(d, header="# Dimensions"), "has no line of up to 16 sizes"),
    "sizes of zero": (lambda d: _pair(d, header="# Dimensions\n4 0 4\n"), "has no line of up to 16 sizes"),
    "many sizes": (lambda d: _pair(d, header="# Dimensions\n" + "9" * 18 + " 9" * 15), "has no line of up to 16 sizes"),
    "volume": (lambda d: _pair(d, header="# Dimensions\n4 4 2 1\n"), "k-space of a volume with two phase encodings"),
    "maps": (lambda d: _pair(d, header="# Dimensions\n4 4 1 1 2\n"), "k-space of slices has no MAPS"),
}


def _pair(folder: Path, header: str | None = "# Dimensions\n4 4 1 2\n", numbers: bytes | None = bytes(256)) -> Path:
    if header is not None:
        (folder / "a.hdr").write_text(header, encoding="ascii")
    if numbers is not None:
        (folder / "a.cfl").write_bytes(numbers)
    return folder / ("a.cfl" if header is None else "a.hdr")


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_with_a_pair_is_told(tmp_path: Path, kind: str) -> None:
    make, says = WRONG[kind]
    path = make(tmp_path)
    with pytest.raises(InputError, match=says):
        open_kspace(path)
    assert medrecon("inspect", path).status == 2


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        (
            None,
            r"k-space is \(2, 4, 48, 40\), and nothing tells what its axes are; name them by --axes, such as slice,coil,y,x",
        ),
        ("coil,y,x", r"--axes coil,y,x does not fit"),
        ("slice,coil,frame,y", r"y and x among them"),
        ("slice,coil,y,pair", r"y and x among them"),
        ("slice,coil,pair,x", r"y and x among them"),
    ],
)
def test_axes_that_nothing_tells_are_asked_for(tmp_path: Path, axes: str | None, says: str) -> None:
    np.save(tmp_path / "k.npy", K)
    with pytest.raises(InputError, match=says):
        open_kspace(tmp_path / "k.npy", axes=None if axes is None else parse_axes(axes, KSpaceAxis))


def test_real_numbers_that_are_no_kspace_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", np.ones((3, 32, 32), np.float32))
    asked = ("inspect", tmp_path / "k.npy", "--axes")
    assert "name the axis of real and imaginary parts `pair`" in medrecon(*asked, "coil,y,x").complaint
    assert "an axis `pair` has the length 2" in medrecon(*asked, "pair,y,x").complaint
    both = np.moveaxis(K.view(np.float32).reshape(*K.shape, 2), -1, 2).reshape(K.shape[0], -1, *K.shape[2:])
    np.save(tmp_path / "k.npy", both)
    assert "are taken as" in medrecon(*asked, "slice,coil,y,x").out.replace("\n", " ")
    np.save(tmp_path / "k.npy", abs(both))
    assert "nowhere below zero, as magnitudes are" in medrecon(*asked, "slice,coil,y,x").out.replace("\n", " ")


def test_a_calibration_of_other_coils_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", K)
    np.save(tmp_path / "c.npy", K[:, 1:])
    asked = ("inspect", tmp_path / "k.npy", "--axes", "slice,coil,y,x", "--calibration")
    assert "it takes as many coils" in medrecon(*asked, tmp_path / "c.npy").complaint
    assert "does not exist" in medrecon(*asked, tmp_path / "no.npy").complaint


def _image(values: NDArray[np.complex64]) -> NDArray[np.complex128]:
    inside = np.fft.ifftshift(values, axes=(-2, -1))
    image: NDArray[np.complex128] = np.fft.fftshift(np.fft.ifft2(inside, norm="ortho"), axes=(-2, -1))
    return image
