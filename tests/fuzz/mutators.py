"""Ways to damage any bytes, and any text that is a tree of values."""

import copy
import json
from collections.abc import Callable
from random import Random
from typing import Any

import yaml

__all__ = ["ODD_NUMBERS", "ODD_VALUES", "damage_bytes", "damage_tree", "damage_yaml"]

ODD_NUMBERS: tuple[float, ...] = (
    *(0, -0.0, -1, 1, 2, 3, 7, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**63 - 1, 2**63),
    *(
        10**9,
        10**23,
        10**400,
        0.5,
        1e-308,
        5e-324,
        1e-9,
        1e9,
        1e38,
        1e39,
        1e308,
        float("inf"),
        float("-inf"),
        float("nan"),
    ),
)
ODD_VALUES: tuple[Any, ...] = (
    *ODD_NUMBERS,
    *(
        None,
        True,
        False,
        "",
        " ",
        "x",
        "0",
        "nan",
        "1e400",
        "\0",
        "\ud800",
        "\u202e",
        "a" * 70_000,
        "=1+1",
        "../../x",
        "/dev/zero",
    ),
    *([], {}, [[]], [None], {"a": {}}, [0] * 3, ["x"] * 300, {"x": 1, "y": [2]}, [1.0, 2.0], {"kind": "x"}),
)


def damage_bytes(data: bytes, random: Random) -> bytes:
    """Flip, cut, swap, repeat, insert or blank a few bytes."""
    held = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        random.choice(_WAYS)(held, random)
    return bytes(held)


def _flip(held: bytearray, random: Random) -> None:
    if held:
        held[random.randrange(len(held))] ^= 1 << random.randrange(8)


def _set(held: bytearray, random: Random) -> None:
    if held:
        held[random.randrange(len(held))] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))


def _number(held: bytearray, random: Random) -> None:
    size = random.choice((2, 4, 8))
    if len(held) > size:
        place = random.randrange(len(held) - size)
        value = random.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1, random.getrandbits(64))) % 2 ** (8 * size)
        held[place : place + size] = value.to_bytes(size, random.choice(("little", "big")))  # type: ignore[arg-type]


def _cut(held: bytearray, random: Random) -> None:
    del held[random.randrange(len(held) + 1) :]


def _remove(held: bytearray, random: Random) -> None:
    place = random.randrange(len(held) + 1)
    del held[place : place + random.choice((1, 4, 64, 512))]


def _insert(held: bytearray, random: Random) -> None:
    place = random.randrange(len(held) + 1)
    held[place:place] = random.choice((b"\0", b"\xff" * 4, random.randbytes(16), b"\xed\xa0\x80", b"9" * 40))


def _swap(held: bytearray, random: Random) -> None:
    size = random.choice((1, 8, 64))
    one, other = random.randrange(len(held) + 1), random.randrange(len(held) + 1)
    held[one : one + size], held[other : other + size] = held[other : other + size], held[one : one + size]


def _blank(held: bytearray, random: Random) -> None:
    place = random.randrange(len(held) + 1)
    size = len(held[place : place + random.choice((8, 64, 512))])
    held[place : place + size] = random.choice((b"\0", b"\xff")) * size


_WAYS: tuple[Callable[[bytearray, Random], None], ...] = (_flip, _set, _number, _cut, _remove, _insert, _swap, _blank)


def damage_tree(values: Any, random: Random) -> Any:
    """Change, remove, double or nest some value of a tree of mappings and lists."""
    tree = copy.deepcopy(values)
    for _ in range(random.choice((1, 1, 2))):
        places = list(_places(tree))
        if not places:
            return random.choice(ODD_VALUES)
        leaves = [(holder, key) for holder, key in places if isinstance(holder[key], int | float)]
        holder, key = random.choice(leaves if leaves and random.random() < 0.5 else places)
        if isinstance(holder[key], int | float) and random.random() < 0.7:
            holder[key] = random.choice((holder[key] * 2, -holder[key], holder[key] + 1, *ODD_NUMBERS))
            continue
        match random.randrange(6):
            case 0:
                del holder[key]
            case 1:
                holder[key] = [holder[key]]
            case 2:
                holder[key] = {str(key): holder[key]}
            case 3 if isinstance(holder, dict):
                holder[random.choice(("x", "", "kind", "name", "a" * 500))] = holder[key]
            case _:
                holder[key] = copy.deepcopy(random.choice(ODD_VALUES))
    return tree


def _places(tree: Any) -> Any:
    if isinstance(tree, dict | list):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from _places(tree[key])


def damage_yaml(text: str, random: Random) -> bytes:
    """Change the values of a YAML, or its words: tags, anchors, brackets, and its bytes."""
    match random.randrange(6):
        case 0:
            return damage_bytes(text.encode(), random)
        case 1:
            words = text.split(" ")
            words[random.randrange(len(words))] = random.choice(_YAML_WORDS)
            return " ".join(words).encode("utf-8", "surrogatepass")
        case _:
            tree = damage_tree(yaml.safe_load(text), random)
            dumped = json.dumps(tree) if random.random() < 0.5 else _dumped(tree)
            return dumped.encode("utf-8", "surrogatepass")


def _dumped(tree: Any) -> str:
    return str(yaml.safe_dump(tree, allow_unicode=True, sort_keys=False))


_YAML_WORDS = (
    *(
        "!!float x",
        "!!int x",
        "!!bool x",
        "!!timestamp x",
        "!!binary x",
        "!!set {a}",
        "!!python/name:os.system x",
        "&a [*a]",
    ),
    *(
        "*b",
        "[" * 3000,
        "{a: " * 3000,
        "- " * 500,
        "1e400",
        "9" * 400,
        "0x" + "f" * 300,
        "1:59:59:59",
        "2020-01-01",
        "\t",
        "%",
    ),
    *(
        "\ud800",
        "'",
        '"',
        "|",
        ">",
        "---",
        "...",
        "? a",
        "<<: *b",
        "\0",
        "\u2028",
        ".inf",
        ".nan",
        "~",
        "{a: 1, a: 2}",
        "[a, b",
    ),
)
