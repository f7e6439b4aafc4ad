"""Ways to damage files of a format that leave it readable: attributes, shapes, types, fields of headers."""

import gzip
import json
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np
import pydicom
import yaml

from tests.fuzz.mutators import ODD_NUMBERS, ODD_VALUES, damage_bytes, damage_tree, damage_yaml

__all__ = ["OUTSIDE", "mutate"]

#: What a file that was damaged already may not allow, or not within the memory.
_NOT_DONE = (KeyError, ValueError, TypeError, OSError, RuntimeError, MemoryError, yaml.YAMLError)
#: What only a file outside of the folder of the mutated ones holds.
OUTSIDE = "outside.h5"


def mutate(kind: str, source: Path, target: Path, random: Random) -> str:
    """Write a damaged copy of a sound file, and return what was done to it."""
    target.write_bytes(source.read_bytes())
    special = _SPECIAL.get(kind)
    if special is None or random.random() < (0.1 if kind in _TEXTS else 0.4):
        target.write_bytes(damage_bytes(source.read_bytes(), random))
        return "bytes"
    return special(target, random)


def _hdf5(path: Path, random: Random) -> str:
    done = []
    for _ in range(random.choice((1, 1, 2))):
        way = random.choice(_HDF5_WAYS)
        with suppress(*_NOT_DONE), h5py.File(path, "r+") as file:
            names = [name for name, held in file.items() if isinstance(held, h5py.Dataset)]
            if names:
                way(file, random.choice(names), random)
        done.append(way.__name__)
    if random.random() < 0.1:
        _damage_heap(path, random)
        done.append("heap")
    return " ".join(done)


def _damage_heap(path: Path, random: Random) -> None:
    """Change the size of an object in the heap of texts, or any of its bytes."""
    content = bytearray(path.read_bytes())
    if (heap := content.find(b"GCOL")) >= 0:
        place = heap + random.choice((8, 16, 24, 32, random.randrange(4096)))
        content[place : place + 8] = random.choice((0, 1, 2**16, 2**40, 2**64 - 1)).to_bytes(8, "little")
        path.write_bytes(content)


def _nested_hdf5(path: Path, random: Random) -> str:
    with suppress(*_NOT_DONE), h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, held: names.append(name) if isinstance(held, h5py.Dataset) else None)
        way = random.choice((_set_type, _set_shape, _set_values, _remove_data, _link, _set_attribute))
        way(file, random.choice(names), random)
        return way.__name__
    return "nothing"


def _sizes(path: Path, random: Random) -> str:
    """A header of BART with another size, or number of them."""
    words = path.read_text(encoding="ascii").split("\n")[1].split()
    place = random.randrange(len(words))
    words[place] = str(random.choice((0, 1, 2, 3, 10**3, 10**9, 2**40, -1, "nan", "9" * 30, "")))
    more = random.choice((0, 0, 0, 3, 1000))
    path.write_text(f"# Dimensions\n{' '.join(words + ['1'] * more)}\n", encoding="ascii")
    return f"size {place}"


def _set_attribute(file: h5py.File, name: str, random: Random) -> None:
    holder = random.choice((file, file[name]))
    attributes = [*holder.attrs, "max", "norm", "acquisition", "patient_id", "geometry", "unit", "notes"]
    value = random.choice((*ODD_VALUES, b"\xff\xfe", np.zeros((0,)), np.arange(3), np.float32("nan"), h5py.Empty("f4")))
    holder.attrs[random.choice(attributes)] = "\udcff" if value == "\ud800" else value


def _set_geometry(file: h5py.File, name: str, random: Random) -> None:
    for holder in (file, file[name]):
        if isinstance(text := holder.attrs.get("geometry"), str):
            holder.attrs["geometry"] = damage_yaml(text, random).decode("utf-8", "surrogateescape")


def _remove_data(file: h5py.File, name: str, random: Random) -> None:
    del file[name]
    if random.random() < 0.5:
        file.create_group(name)


def _set_type(file: h5py.File, name: str, random: Random) -> None:
    held = file[name][()]
    del file[name]
    new = random.choice(("i1", "u8", "f2", "f8", "c8", "c16", "?", ">f4", "S4", "strings", "compound", "objects"))
    if new == "strings":
        file.create_dataset(name, data=["a", "b"], dtype=h5py.string_dtype())
    elif new == "objects":
        file.create_dataset(name, data=file.ref, dtype=h5py.ref_dtype)
    elif new == "compound":
        file.create_dataset(
            name, shape=np.shape(held), dtype=[("r", "f4"), (random.choice("ix"), random.choice(("f4", "i2")))]
        )
    else:
        with np.errstate(all="ignore"):
            file[name] = (
                np.real(held).astype(new)
                if np.asarray(held).dtype.kind == "c" and new not in ("c8", "c16")
                else np.asarray(held).astype(new)
            )


def _set_shape(file: h5py.File, name: str, random: Random) -> None:
    held = file[name]
    shape, dtype = held.shape, held.dtype
    odd = random.choice((0, 1, 2, 3, 10**3, 10**6, 10**9, 2**40))
    axis = random.randrange(max(1, len(shape)))
    new = random.choice(
        ((), (odd,), (odd,) * len(shape), (*shape[:axis], odd, *shape[axis + 1 :]), shape[1:], (1, *shape), shape[::-1])
    )
    del file[name]
    if random.random() < 0.1:
        file[name] = h5py.Empty(dtype)
    elif np.prod(new, dtype=float) > 10**6:
        file.create_dataset(name, new, dtype, chunks=tuple(min(n, 16) for n in new) if new else None)
    else:
        file.create_dataset(name, new, dtype)


def _set_values(file: h5py.File, name: str, random: Random) -> None:
    held = file[name]
    with np.errstate(all="ignore"):
        value = np.float64(random.choice([n for n in ODD_NUMBERS if abs(n) < 1e300 or n != n]))
        part = random.choice((Ellipsis, 0, -1))
        if held.size > 10**6:  # which `_set_shape` stated, and which no disk would hold
            part = (part if part is not Ellipsis else 0,) * held.ndim
        held[part] = value.astype(held.dtype if held.dtype.kind != "O" else "f8")


def _link(file: h5py.File, name: str, random: Random) -> None:
    shape = file[name].shape
    del file[name]
    match random.randrange(5):
        case 0:
            file[name] = h5py.ExternalLink(str(Path(file.filename).parent.parent / OUTSIDE), name)
        case 1:
            file[name] = h5py.SoftLink("/nowhere")
        case 2:
            file[name] = h5py.SoftLink(f"/{name}")
        case 3:
            layout = h5py.VirtualLayout(shape, "f4")
            layout[...] = h5py.VirtualSource(str(Path(file.filename).parent.parent / OUTSIDE), name, shape)
            file.create_virtual_dataset(name, layout)
        case _:
            outside = [(str(Path(file.filename).parent.parent / OUTSIDE), 0, 4 * int(np.prod(shape)))]
            file.create_dataset(name, shape, "f4", external=outside)


_HDF5_WAYS: tuple[Callable[[h5py.File, str, Random], None], ...] = (
    _set_attribute,
    _set_geometry,
    _remove_data,
    _set_type,
    _set_shape,
    _set_values,
    _link,
)


def _header(path: Path, random: Random) -> str:
    with h5py.File(path, "r+") as file:
        text = file["ismrmrd_header"][()].decode()
        del file["ismrmrd_header"]
        file["ismrmrd_header"] = _damaged_xml(text, random).replace(b"\0", b" ")
    return "header"


def _damaged_xml(text: str, random: Random) -> bytes:
    tags = text.split("<")
    place = random.randrange(1, len(tags))
    name, _, value = tags[place].partition(">")
    match random.randrange(6):
        case 0:
            del tags[place]
        case 1:
            tags.insert(place, tags[place])
        case 2:
            tags[place] = f"{name}>{'<a>' * 2000}{value}"
        case 3:
            return damage_bytes(text.encode(), random)
        case 4:
            bomb = "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 9}">' for i in range(9))
            return f'<!DOCTYPE x [<!ENTITY a "aaaa">{bomb}]>{text.partition("?>")[2]}'.encode()
        case _:
            odd = random.choice(("1e400", "9" * 23, "-1", "0", "nan", "1e308", "x", "", " 5 ", "1_0", "\u0663", "0x10"))
            tags[place] = f"{name}>{odd}"
    return "<".join(tags).encode()


def _ismrmrd(path: Path, random: Random) -> str:
    if random.random() < 0.3:
        return _raw_header(path, random)
    with suppress(*_NOT_DONE, OverflowError), h5py.File(path, "r+") as file:
        table = file["dataset/data"]
        rows = table[()]
        place = slice(None) if random.random() < 0.4 else random.randrange(len(rows))
        if random.random() < 0.2:
            rows["data"][random.randrange(len(rows))] = np.zeros(random.choice((0, 1, 63, 65, 10**6)), "f4")
            done = "samples"
        else:
            heads, names = rows["head"], list(_FIELDS)
            name = random.choice(names)
            holder = heads if name in heads.dtype.names else heads["idx"]
            with np.errstate(all="ignore"):
                holder[name][place] = np.float64(random.choice([n for n in ODD_NUMBERS if abs(n) < 1e300])).astype(
                    holder.dtype[name].base
                )
            done = name
        if random.random() < 0.2:
            del file["dataset/data"]
            file["dataset"].create_dataset("data", data=rows[: random.randrange(len(rows))])
        else:
            table[()] = rows
        return done
    return "rows"


#: What of the head of a readout says where its samples go.
_FIELDS = (
    *(
        "flags",
        "number_of_samples",
        "active_channels",
        "discard_pre",
        "discard_post",
        "center_sample",
        "encoding_space_ref",
    ),
    *("sample_time_us", "position", "slice_dir", "kspace_encode_step_1", "kspace_encode_step_2", "slice", "repetition"),
)


def _raw_header(path: Path, random: Random) -> str:
    with h5py.File(path, "r+") as file:
        text = file["dataset/xml"][()].reshape(-1)[0].decode()
        file["dataset/xml"][0] = _damaged_xml(text, random).replace(b"\0", b" ")
    return "header"


def _stream(path: Path, random: Random) -> str:
    """Odd numbers into the head of a readout of a stream: of what follows, the sizes."""
    data = bytearray(path.read_bytes())
    first = data.index(b"</ismrmrdHeader>") + len(b"</ismrmrdHeader>")
    place = first + 2 + random.choice((2, 34, 36, 38, 168, 170, 172, 174, 176, 240, 242, 246))
    _put(data, place, random.choice(("<H", "<H", "<I", "<Q")), random)
    path.write_bytes(bytes(data))
    return f"field at {place}"


def _twix(path: Path, random: Random) -> str:
    """Odd numbers into the table, the protocol, or the head of a readout of Siemens' raw data."""
    data = bytearray(path.read_bytes())
    header = int.from_bytes(data[10240:10244], "little")
    if random.random() < 0.3:
        return _twix_protocol(path, data, random)
    offsets = (
        0,
        4,
        16,
        24,
        10240,
        10244,
        *(10240 + header + at for at in (0, 40, 48, 50, 52, 54, 56, 58, 80, 84, 86, 96, 98)),
    )
    place = random.choice(offsets)
    _put(data, place, random.choice(("<H", "<I", "<Q")), random)
    path.write_bytes(bytes(data))
    return f"field at {place}"


def _twix_protocol(path: Path, data: bytearray, random: Random) -> str:
    names = (
        b"lBaseResolution = 8",
        b"lPhaseEncodingLines = 12",
        b"ucDimension = 2",
        b"dPhaseFOV = 240.0",
        b"alDwellTime[0] = 4000",
    )
    name = random.choice(names)
    odd = str(random.choice((*ODD_NUMBERS, "x", "")))[: len(name.partition(b"= ")[2])]
    path.write_bytes(
        bytes(data).replace(name, name.partition(b"= ")[0] + b"= " + odd.encode().ljust(len(name.partition(b"= ")[2])))
    )
    return "protocol"


def _npy(path: Path, random: Random) -> str:
    data = path.read_bytes()
    length = struct.unpack("<H", data[8:10])[0]
    header = data[10 : 10 + length].decode()
    odd = random.choice(ODD_NUMBERS)
    changed = random.choice(
        (
            header.replace(
                "'<f4'",
                random.choice(
                    ("'|O'", "'<c8'", "'<f8'", "'|S9'", "'<U4'", "[('a','<f4')]", "'x'", "'>f2'", "'<M8[s]'")
                ),
            ),
            header.replace(
                random.choice(("(2, 16, 24)", "(2, 2, 16, 12)")),
                random.choice(
                    (f"({odd},)", "()", "(0, 16, 24)", "(2, 16, 24, 1)", "(10**9,)", f"(2, {10**9}, {10**9})")
                ),
            ),
            header.replace("False", random.choice(("True", "None", "1"))),
            header.replace("{", "[" * 500),
            header.replace("'shape'", "'x'"),
        )
    )
    body = changed.strip().encode()
    path.write_bytes(data[:8] + struct.pack("<H", len(body) + 1) + body + b"\n" + data[10 + length :])
    return "npy header"


def _dicom(path: Path, random: Random) -> str:
    file = pydicom.dcmread(path)
    element = random.choice([*file, *file.file_meta])
    odd = random.choice((*ODD_VALUES, ["1", "2"], "1\\2", "1" * 40, b"\xff" * 7, -1, "-"))
    with suppress(Exception):  # what pydicom does not take is written otherwise, or not
        holder = file.file_meta if element.tag.group == 2 else file
        if random.random() < 0.15:
            del holder[element.tag]
        elif random.random() < 0.3:
            file.add_new(
                random.choice((0x00280008, 0x00280103, 0x00200013, 0x00281053)),
                random.choice(("IS", "US", "DS", "LO")),
                odd,
            )
        else:
            element._value = odd if random.random() < 0.5 else str(odd)[:60]
        file.save_as(path, enforce_file_format=False)
    return f"element {element.tag}"


def _frames(path: Path, random: Random) -> str:
    """Damage a value at any depth, or leave a functional group out."""
    file = pydicom.dcmread(path)
    element = random.choice([*file.iterall()])
    with suppress(Exception):
        if element.VR == "SQ" and random.random() < 0.5:
            element.value.pop(random.randrange(len(element.value)))
        else:
            element._value = random.choice((*ODD_VALUES, ["1", "2"], [], -1, "-", 2**31))
        file.save_as(path, enforce_file_format=False)
    return f"element {element.tag}"


def _nifti(path: Path, random: Random) -> str:
    data = bytearray(path.read_bytes())
    place, form = random.choice(
        (
            *((40 + 2 * i, "<h") for i in range(8)),
            *((76 + 4 * i, "<f") for i in range(8)),
            *((280 + 4 * i, "<f") for i in range(12)),
            *(
                (70, "<h"),
                (72, "<h"),
                (108, "<f"),
                (112, "<f"),
                (116, "<f"),
                (252, "<h"),
                (254, "<h"),
                (0, "<i"),
                (344, "<i"),
            ),
        )
    )
    _put(data, place, form, random)
    path.write_bytes(bytes(data))
    return f"field at {place}"


def _packed_nifti(path: Path, random: Random) -> str:
    path.write_bytes(gzip.decompress(path.read_bytes()))
    done = _nifti(path, random)
    held = path.read_bytes()
    longer = held + b"\0" * random.choice((0, 0, 1, 10**7))
    path.write_bytes(gzip.compress(longer, mtime=0))
    return f"{done}, packed"


def _put(data: bytearray, place: int, form: str, random: Random) -> None:
    while True:
        with suppress(struct.error, OverflowError, ValueError):
            odd = random.choice(ODD_NUMBERS)
            struct.pack_into(form, data, place, odd if form.endswith(("f", "d")) else int(odd))
            return


def _nrrd(path: Path, random: Random) -> str:
    head, blank, body = path.read_bytes().partition(b"\n\n")
    lines = head.decode().split("\n")
    place = random.randrange(len(lines))
    odd = str(random.choice(ODD_NUMBERS))
    match random.randrange(5):
        case 0:
            del lines[place]
        case 1:
            lines.insert(place, lines[place])
        case 2:
            lines[place] = f"{lines[place].partition(':')[0]}: {odd}"
        case 3:
            swaps = (
                ("8 7 3", f"8 7 {odd}"),
                ("8 7 3", "8 7"),
                ("short", "block"),
                ("little", "big"),
                ("raw", "bzip2"),
                ("0.5", odd),
            )
            lines = [line.replace(*random.choice(swaps)) for line in lines]
        case _:
            lines.append(
                random.choice(
                    (
                        "data file: ../outside.h5",
                        "data file: LIST",
                        "line skip: -1",
                        f"byte skip: {odd}",
                        "data file: %d 1 9 1",
                    )
                )
            )
    path.write_bytes("\n".join(lines).encode() + blank + body)
    return f"line {place}"


def _yaml(path: Path, random: Random) -> str:
    path.write_bytes(damage_yaml(path.read_text(encoding="utf-8"), random))
    return "yaml"


def _weights(path: Path, random: Random) -> str:
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    meta = header["__metadata__"]
    match random.randrange(5):
        case 0:
            header = damage_tree(header, random)
        case 1:
            tensor = header[random.choice([name for name in header if name != "__metadata__"])]
            tensor[random.choice(tuple(tensor))] = random.choice(
                (*ODD_VALUES, "F8_E4M3", "BOOL", "C64", [2**40], [0, 10**12])
            )
        case 2:
            meta["medrecon"] = meta["medrecon"][: random.randrange(len(meta["medrecon"]))]
        case _:
            meta["medrecon"] = json.dumps(damage_tree(json.loads(meta["medrecon"]), random))
    body = json.dumps(header).encode()
    stated = len(body) if random.random() < 0.95 else random.choice((0, 1, 2**40, 2**64 - 1))
    path.write_bytes(struct.pack("<Q", stated) + body + data[8 + length :])
    return "header of safetensors"


def _journal(path: Path, random: Random) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    place = random.randrange(len(lines))
    lines[place] = json.dumps(damage_tree(json.loads(lines[place]), random))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "row"


_TEXTS = (
    "geometry",
    "training",
    "benchmark",
    "manifest",
    "journal",
)  # of which damaged bytes are mostly no YAML at all
_SPECIAL: dict[str, Callable[[Path, Random], str]] = {
    **dict.fromkeys(("mri", "ct", "lodopab"), _hdf5),
    **dict.fromkeys(("exchange", "nexus"), _nested_hdf5),
    "complex": _npy,
    "bart": _sizes,
    "header": _header,
    "ismrmrd": _ismrmrd,
    "stream": _stream,
    "twix": _twix,
    "npy": _npy,
    "dicom": _dicom,
    "frames": _frames,
    "nifti": _nifti,
    "packed-nifti": _packed_nifti,
    **dict.fromkeys(("nrrd", "packed-nrrd"), _nrrd),
    **dict.fromkeys(("geometry", "training", "benchmark", "manifest"), _yaml),
    "weights": _weights,
    "journal": _journal,
}
