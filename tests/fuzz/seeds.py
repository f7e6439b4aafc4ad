"""Small sound files of every kind that medrecon reads, of which the mutated ones are made."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import scipy.io
import tifffile
from ismrmrd.serialization import ConfigFile, ProtocolSerializer
from ismrmrd.xsd import CreateFromDocument
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from medrecon.config.files import settings_of
from medrecon.config.training import TrainingSettings
from medrecon.data.cfl import BartAxis, write_cfl
from medrecon.data.sets.manifest import manifest_folder
from medrecon.weights.card import write_weights
from medrecon.weights.networks import build_network, operator_family
from medrecon.workflows.training import build_card
from tests.program import medrecon
from tests.raw_files import CALIBRATION, NOISE, Readout, acquisition, header, lines, scan, write_raw
from tests.twix_files import Block, protocol, write_later

__all__ = ["SEEDS", "Seeds", "make_seeds"]

Seeds = dict[str, Path]

GEOMETRY = """beam: fan
angles: {first: 0.0, step: 0.4, count: 16}
n_bins: 24
spacing: 12.5
offset: 0.5
source_distance: 900.0
detector_distance: 300.0
curved: true
grid: {shape: [16, 16], spacing: 12.0}
photons: 10000.0
"""
TRAINING = """name: tiny
data: {kind: phantom-mri, train: 4, validation: 2, size: [16, 16], coils: 2, masks: [{kind: radial, acceleration: 2}]}
network: {kind: varnet, cascades: 1, features: 2, pools: 1}
loss: [{kind: l1}, {kind: ssim, weight: 0.1}]
optimizer: {kind: adam, rate: 0.001}
schedule: {kind: cosine, warmup: 0.2, floor: 0.01}
training: {epochs: 1, batch_size: 1, clip: 1.0, save_every: 1, max_steps: 2}
"""
BENCHMARK = """name: tiny
mri:
  methods:
    - {name: zero-filled, method: {kind: zero-filled}}
    - {name: sense, method: {kind: sense, iterations: 3}, scenarios: [brain]}
  scenarios:
    - name: brain
      data: {kind: phantom-mri, phantom: brain, size: [16, 16], slices: 1, coils: 2, snr: 40}
      mask: {kind: equispaced-fraction, acceleration: 2, center_fraction: 0.25}
      lesion: {diameter: 20.0, contrast: 0.5}
ct:
  methods:
    - {name: fbp, method: {kind: fbp, window: hann}}
  scenarios:
    - name: abdomen
      data: {kind: phantom-ct, phantom: abdomen, size: 16, slices: 1, views: 12, photons: 20000}
      views: 6
"""
NRRD = """NRRD0004
type: short
dimension: 3
space: left-posterior-superior
sizes: 8 7 3
space directions: (0.5,0,0) (0,0.75,0) (0,0,2.5)
endian: little
encoding: {encoding}
space origin: (0,0,0)

"""
HOUNSFIELD = (np.arange(3 * 7 * 8).reshape(3, 7, 8) * 9 - 1000).astype("<i2")


def _mri(path: Path) -> None:
    assert medrecon("simulate", path, "--size", "16x12", "--slices", 2, "--coils", 2).status == 0


def _readouts() -> list[Readout]:
    """Noise, calibration lines, and two slices of which every second line was measured."""
    noise = np.random.default_rng(1).normal(size=(2, 64)) + 1j
    found = [Readout(noise, flags=(NOISE,)) for _ in range(2)]
    for number in range(2):
        kspace, of_slice = scan((16, 12), 2, seed=number), {"slice": number}
        found += lines(kspace, range(3, 9), flags=(CALIBRATION,), counters=of_slice)
        found += lines(kspace, range(0, 12, 2), counters=of_slice)
    return found


def _ismrmrd(path: Path) -> None:
    write_raw(path, header((16, 12, 1), vendor="SIEMENS"), _readouts())


def _stream(path: Path) -> None:
    with ProtocolSerializer(str(path)) as stream:
        stream.serialize(ConfigFile("default.xml"))
        stream.serialize(CreateFromDocument(header((16, 12, 1))))
        for readout in _readouts():
            stream.serialize(acquisition(readout))


def _twix(path: Path) -> None:
    flags = {NOISE: "NOISEADJSCAN", CALIBRATION: "PATREFSCAN"}
    blocks = [
        Block(
            one.samples,
            one.line,
            tuple(flags[flag] for flag in one.flags),
            (6, 0),
            {"Sli": one.counters.get("slice", 0)},
        )
        for one in _readouts()
    ]
    write_later(path, [(protocol(8, 12), blocks[:2]), (protocol(8, 12), blocks[2:])])


def _ct(path: Path) -> None:
    size = "--size", 16, "--views", 12, "--slices", 2
    assert medrecon("simulate", path, "--modality", "ct", *size, "--photons", 10000).status == 0


def _lodopab(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = np.full((1, 1000, 513), 0.1, "f4")


def _npy(path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 0.01, (2, 16, 24))
    chords = np.sqrt(np.maximum(0, 1 - ((np.arange(24) - 11.46) / 8) ** 2))  # of a disk about the axis
    np.save(path, (2 * chords + noise).astype("f4"))


def _counts() -> dict[str, np.ndarray]:
    noise = np.random.default_rng(2).normal(0, 2, (16, 2, 24))
    chords = np.sqrt(np.maximum(0, 1 - ((np.arange(24) - 11.46) / 8) ** 2))
    counts = (1000 * np.exp(-chords) + noise).astype("u2")
    flats, darks = np.full((3, 2, 24), 1010, "u2"), np.full((3, 2, 24), 10, "u2")
    return {"data": counts, "data_white": flats, "data_dark": darks, "theta": np.arange(16) * 180 / 16}


def _exchange(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name, values in _counts().items():
            file[f"exchange/{name}"] = values


def _nexus(path: Path) -> None:
    held = _counts()
    with h5py.File(path, "w") as file:
        file["entry/instrument/detector/data"] = np.concatenate([held["data_white"], held["data"], held["data_dark"]])
        file["entry/instrument/detector/image_key"] = np.repeat([1, 0, 2], [3, 16, 3])
        file["entry/sample/rotation_angle"] = np.concatenate([np.zeros(3), held["theta"], np.zeros(3)])


def _npz(path: Path) -> None:
    np.savez_compressed(path, **_counts())


def _mat(path: Path) -> None:
    scipy.io.savemat(path, {"scan": _counts()}, do_compression=True)


def _tiff(path: Path) -> None:
    tifffile.imwrite(path, _counts()["data"], photometric="minisblack", compression="zlib")


def _complex(path: Path) -> None:
    values = np.random.default_rng(3).normal(size=(2, 2, 16, 12, 2)).astype("f4")
    values[:, :, 8, 6] += 50
    np.save(path, values.view("c8")[..., 0])


def _cfl(path: Path) -> None:
    parts = np.random.default_rng(4).normal(size=(2, 2, 16, 12))
    values = parts[0] + 1j * parts[1]
    values[:, 8, 6] += 50
    write_cfl(path, values, (BartAxis.COIL, BartAxis.READ, BartAxis.PHS1), overwrite=True)


def _dicom(path: Path) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = CTImageStorage, "1.2.3"
    file.Modality, file.SeriesInstanceUID, file.InstanceNumber = "CT", "1.2", 1
    file.Rows, file.Columns = 7, 8
    file.SamplesPerPixel, file.PhotometricInterpretation, file.PixelRepresentation = 1, "MONOCHROME2", 1
    file.BitsAllocated = file.BitsStored = 16
    file.HighBit = 15
    file.PixelSpacing, file.SliceThickness = [0.5, 0.75], 9.0
    file.RescaleSlope, file.RescaleIntercept = "1", "-1024"
    file.ImagePositionPatient, file.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    file.PixelData = (HOUNSFIELD[0] + 1024).astype("<i2").tobytes()
    file.save_as(path, enforce_file_format=True)


def _frames(path: Path) -> None:
    """Enhanced CT: the three slices as frames of one file, described in functional groups."""
    _dicom(path)
    file = dcmread(path)
    file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    for name in ("PixelSpacing", "RescaleSlope", "RescaleIntercept", "ImagePositionPatient", "ImageOrientationPatient"):
        delattr(file, name)
    shared, frames = Dataset(), [Dataset() for _ in HOUNSFIELD]
    for frame, macro, values in (
        (shared, "PixelMeasures", {"PixelSpacing": [0.5, 0.75]}),
        (shared, "PlaneOrientation", {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}),
        (shared, "PixelValueTransformation", {"RescaleSlope": 1, "RescaleIntercept": -1024}),
        *((one, "PlanePosition", {"ImagePositionPatient": [0, 0, 2.5 * k]}) for k, one in enumerate(frames)),
    ):
        group = Dataset()
        for name, value in values.items():
            setattr(group, name, value)
        setattr(frame, f"{macro}Sequence", [group])
    file.SharedFunctionalGroupsSequence, file.PerFrameFunctionalGroupsSequence = [shared], frames
    file.NumberOfFrames, file.PixelData = len(frames), (HOUNSFIELD + 1024).astype("<i2").tobytes()
    file.save_as(path)


def _nifti(path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(HOUNSFIELD, np.diag([0.5, 0.75, 2.5, 1.0])), path)


def _nrrd(path: Path) -> None:
    path.write_bytes(NRRD.format(encoding="raw").encode() + HOUNSFIELD.tobytes())


def _packed_nrrd(path: Path) -> None:
    path.write_bytes(NRRD.format(encoding="gzip").encode() + gzip.compress(HOUNSFIELD.tobytes(), mtime=0))


def _weights(path: Path) -> None:
    import yaml

    settings = settings_of(TrainingSettings, yaml.safe_load(TRAINING), "tiny")
    network = build_network(settings.network, operator_family(settings.data))
    write_weights(path, network.state_dict(), build_card(settings))


def _journal(path: Path) -> None:
    row = {
        **{"key": "a", "modality": "mri", "scenario": "brain", "method": "fbp", "settings": {"weight": 1.0}},
        **{"learned": False, "file": "f.h5", "slice": 0, "sampling": "4x", "status": "done", "reason": ""},
        **{"scores": [{"protocol": "p", "psnr": 30.0, "ssim": 0.9}], "nmse": 0.1, "data_range": 1.0, "pixels": 4},
        **{"squared_error": 0.1, "energy": 1.0, "residual": None, "residual_note": "", "lesion_contrast": None},
        **{"seconds": 0.1, "threads": 1, "device": "cpu", "peak_memory_mb": None, "notes": [], "lpips": None},
    }
    path.write_text(f"{json.dumps(row)}\n{json.dumps({**row, 'key': 'b'})}\n", encoding="utf-8")


def _manifest(path: Path) -> None:
    path.write_bytes((manifest_folder() / "brain-small.yaml").read_bytes())


def _text(content: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(content, encoding="utf-8")

    return write


#: The kinds: the name of the file, and who writes it.
SEEDS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "mri": ("mri.h5", _mri),
    "header": ("header.h5", _mri),
    "ismrmrd": ("raw.h5", _ismrmrd),
    "stream": ("raw.mrd", _stream),
    "twix": ("raw.dat", _twix),
    "ct": ("ct.h5", _ct),
    "lodopab": ("observation_test_000.hdf5", _lodopab),
    "npy": ("array.npy", _npy),
    "exchange": ("exchange.h5", _exchange),
    "nexus": ("nexus.nxs", _nexus),
    "npz": ("counts.npz", _npz),
    "mat": ("counts.mat", _mat),
    "tiff": ("counts.tif", _tiff),
    "complex": ("kspace.npy", _complex),
    "cfl": ("kspace.cfl", _cfl),
    "bart": ("header.hdr", _cfl),
    "dicom": ("slice.dcm", _dicom),
    "frames": ("frames.dcm", _frames),
    "nifti": ("volume.nii", _nifti),
    "packed-nifti": ("volume.nii.gz", _nifti),
    "nrrd": ("volume.nrrd", _nrrd),
    "packed-nrrd": ("packed.nrrd", _packed_nrrd),
    "geometry": ("geometry.yaml", _text(GEOMETRY)),
    "training": ("training.yaml", _text(TRAINING)),
    "benchmark": ("benchmark.yaml", _text(BENCHMARK)),
    "manifest": ("brain-small.yaml", _manifest),
    "weights": ("weights.safetensors", _weights),
    "journal": ("cases.jsonl", _journal),
}


def make_seeds(folder: Path) -> Seeds:
    """Write one file of every kind."""
    seeds = {}
    for kind, (name, write) in SEEDS.items():
        seeds[kind] = folder / name
        write(seeds[kind])
    return seeds
