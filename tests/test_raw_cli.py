"""Raw files from the scanner to the image, by the commands that users type."""

import json
from pathlib import Path

import h5py
import numpy as np
import torch

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.problem import full_reconstruction
from tests.program import medrecon
from tests.raw_files import CALIBRATION, NOISE, Readout, header, inverse, lines, scan, write_raw
from tests.twix_files import Block, protocol, write_later

SHAPE = (48, 40)


def images(path: Path) -> torch.Tensor:
    with h5py.File(path) as file:
        return torch.from_numpy(file["reconstruction"][()])


def test_the_image_of_a_chosen_repetition(tmp_path: Path) -> None:
    kspace = [scan(SHAPE, seed=k, noise=0.01) for k in range(2)]
    readouts = [one for k in range(2) for one in lines(kspace[k], counters={"repetition": k})]
    path, output = write_raw(tmp_path / "raw.h5", header((*SHAPE, 1)), readouts), tmp_path / "image.h5"
    done = medrecon(
        "reconstruct", path, "-o", output, "--method", "rss", "--select", "repetition=1", "--json", tmp_path / "a.json"
    )
    assert done.status == 0
    expected = full_reconstruction(KSpaceSample.full(kspace[1], None, SHAPE, "a"))
    torch.testing.assert_close(images(output)[0], expected, atol=1e-6, rtol=1e-5)
    assert "2 repetitions (0, 1): 1 is taken" in json.loads((tmp_path / "a.json").read_text())["notes"]
    found = medrecon("inspect", path)
    assert "2 repetitions (0, 1): 0 is taken; --select repetition=NUMBER takes another" in found.out
    assert medrecon("inspect", path, "--select", "repetition=5").complaint.startswith(f"{path}: holds no repetition 5")
    assert "--select takes NAME=NUMBER" in medrecon("inspect", path, "--select", "repetition").complaint


def test_maps_come_from_calibration_lines_alone(tmp_path: Path) -> None:
    """Every third line, and no center: without the calibration lines there are no maps, and none of these is in the image."""
    kspace = scan(SHAPE, coils=6, noise=0.002)
    image, center = range(0, 40, 3), range(8, 32)
    path, output = tmp_path / "raw.h5", tmp_path / "image.h5"
    calibrates = lines(kspace, center, flags=(CALIBRATION,))
    write_raw(path, header((*SHAPE, 1)), [*lines(kspace, image), *calibrates])
    assert medrecon("reconstruct", path, "-o", output, "--method", "sense").status == 0
    truth = inverse(kspace, (-2, -1)).abs().square().sum(0).sqrt()
    error = float((images(output)[0] - truth).norm() / truth.norm())
    assert medrecon("reconstruct", path, "-o", output, "--overwrite", "--method", "rss").status == 0
    aliased = images(output)[0]
    folded = float((aliased - truth).norm() / truth.norm())
    sampled = torch.isin(torch.arange(40), torch.tensor(list(image)))
    torch.testing.assert_close(
        aliased, inverse(kspace * sampled, (-2, -1)).abs().square().sum(0).sqrt(), atol=1e-5, rtol=1e-4
    )
    assert error < 0.4 * folded
    write_raw(tmp_path / "bare.h5", header((*SHAPE, 1)), lines(kspace, image))
    bare = medrecon("reconstruct", tmp_path / "bare.h5", "-o", output, "--overwrite", "--method", "sense")
    assert bare.status == 2
    assert "the fully sampled center of k-space" in bare.complaint


def test_coils_are_weighted_by_noise_scans(tmp_path: Path) -> None:
    """Coils that share one strong noise: with the scan of it the image is nearer to the truth, and as bright."""
    generator = np.random.default_rng(0)

    def noise(n: int) -> np.ndarray:
        own = generator.normal(size=(6, n)) + 1j * generator.normal(size=(6, n))
        shared = generator.normal(size=n) + 1j * generator.normal(size=n)
        return (0.01 * own + 0.1 * shared).astype(np.complex64)

    clean = scan(SHAPE, coils=6)
    noisy = clean + torch.from_numpy(noise(SHAPE[0] * SHAPE[1])).reshape(6, *SHAPE)
    errors = []
    for scans in ([Readout(noise(512), flags=(NOISE,)) for _ in range(4)], []):
        path = write_raw(tmp_path / f"{len(scans)}.h5", header((*SHAPE, 1)), [*scans, *lines(noisy)])
        output = tmp_path / "image.h5"
        done = medrecon("reconstruct", path, "-o", output, "--overwrite", "--method", "sense")
        assert done.status == 0
        assert ("coils are weighted by the noise of 4 noise scans" in done.out) == bool(scans)
        truth = inverse(clean, (-2, -1)).abs().square().sum(0).sqrt()
        errors.append(float((images(output)[0] - truth).norm() / truth.norm()))
    assert errors[0] < 0.7 * errors[1]


def test_a_folder_of_raw_files(tmp_path: Path) -> None:
    folder, kspace = tmp_path / "scans", scan((32, 24))
    folder.mkdir()
    write_raw(folder / "a.h5", header((32, 24, 1)), lines(kspace))
    blocks = [Block(kspace.numpy()[:, :, line], line, center=(12, 0)) for line in range(24)]
    write_later(folder / "b.dat", [(protocol(16, 24), blocks)])
    (folder / "notes.dat").write_text("something else")
    assert medrecon("reconstruct", folder, "-o", tmp_path / "images", "--method", "rss").status == 0
    assert images(tmp_path / "images" / "a.h5").shape == (1, 32, 24)
    assert images(tmp_path / "images" / "b.h5").shape == (1, 16, 24)


def test_other_files_take_no_choice(tmp_path: Path) -> None:
    assert medrecon("simulate", tmp_path / "a.h5", "--size", "16x16", "--coils", 2).status == 0
    assert "leave --select out" in medrecon("inspect", tmp_path / "a.h5", "--select", "repetition=0").complaint
    assert medrecon("simulate", tmp_path / "ct.h5", "--modality", "ct", "--size", 16, "--views", 12).status == 0
    assert "--select is an option of MRI" in medrecon("inspect", tmp_path / "ct.h5", "--select", "set=0").complaint
    refused = medrecon("reconstruct", tmp_path / "ct.h5", "-o", tmp_path / "x.h5", "--select", "set=0")
    assert "--select is an option of MRI" in refused.complaint
