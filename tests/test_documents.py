"""YAML and JSON of others: plain values, or one line."""

import time

import pytest

from medrecon.documents import as_code, parse_json, parse_yaml, read_text
from medrecon.errors import InputError

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
)


def test_sound_yaml_is_read() -> None:
    text = "a: 1\nb: [1.5, true, null, x]\nc: &c {d: 2020-01-01}\ne: {<<: *c, f: -3}\n"
    values = parse_yaml(text, "p")
    assert values["a"] == 1
    assert values["b"] == [1.5, True, None, "x"]
    assert values["e"] == {**values["c"], "f": -3}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 3000, "more than 64 lists"),
        ("- " * 5000, "more than 64 lists"),
        (BOMB, "more than 200000 values"),
        ("[" + "1," * 250_000 + "]", "more than 200000 values"),
        ("a: &a [*a]", "stands within itself, in line 1"),
        ("a: 1\nb: 2\n'a': 3", "the key a stands twice, in line 3"),
        ("a: {b: 1, b: 2}", "the key b stands twice"),
        ("a: " + "9" * 30, "an integer of 30 digits"),
        ("a: 0x" + "f" * 60_000, "an integer of 60002 digits"),
        ("a: " + ":".join(["59"] * 20_000), "an integer of"),
        ("a: " + "x" * 70_000, "a value of 70000 characters"),
        ('a: "\\0"', "a zero byte"),
        (" " * 2**23 + "a", "larger than 8 MiB"),
        *(
            (f"a: !!{tag} x", "is not YAML")
            for tag in ("float", "int", "bool", "timestamp", "binary", "python/name:os.system")
        ),
        ("a: \ud800", "is not YAML"),
        ("? [a]\n: 1", "is not YAML"),
        ("a: *b", "undefined alias in line 1"),
        ("a\n---\nb", "is not YAML"),
        ("a: [", "is not YAML"),
    ],
    ids=lambda value: ascii(value[:16]),
)
def test_other_yaml_is_refused_at_once(text: str, words: str) -> None:
    start = time.process_time()
    with pytest.raises(InputError, match=r"^p: ") as refused:
        parse_yaml(text, "p")
    assert words in str(refused.value)
    assert len(str(refused.value)) < 400
    assert time.process_time() - start < 10  # a bomb takes hours


def test_a_merged_mapping_does_not_count_as_a_key_given_twice() -> None:
    assert parse_yaml("a: &a {x: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b}\n<<: *a", "p")["c"] == {"x": 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a":' * 20_000 + "1" + "}" * 20_000, "too deep"),
        ('{"a":' * 70 + "1" + "}" * 70, "more than 64"),
        ("1" * 5000, "an integer of 5000 digits"),
        ("[1e400]", "beyond the numbers"),
        ("[NaN]", "beyond the numbers"),
        ("[-Infinity]", "beyond the numbers"),
        ("[1", "is not JSON"),
        (b"\xff\xfe\xff", "is not JSON"),
        (b" " * 2**23 + b"1", "larger than 8 MiB"),
    ],
    ids=lambda value: ascii(value[:16]),
)
def test_other_json_is_refused(text: str | bytes, words: str) -> None:
    with pytest.raises(InputError, match=r"^p: ") as refused:
        parse_json(text, "p")
    assert words in str(refused.value)


def test_sound_json_is_read() -> None:
    assert parse_json('{"a": [1, 2.5, -3e2, null, "\\ud800"]}', "p") == {"a": [1, 2.5, -300.0, None, "\ud800"]}


def test_texts_are_read_with_and_without_a_mark_and_others_refused(tmp_path: object) -> None:
    from pathlib import Path

    file = Path(str(tmp_path)) / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: \xc3\xa4")
    assert read_text(file, "a text") == "a: ä"
    file.write_bytes(b"abc\xff")
    with pytest.raises(InputError, match="is no text in UTF-8, from byte 3 on; give a text"):
        read_text(file, "a text")
    file.write_bytes(b" " * (2**23 + 1))
    with pytest.raises(InputError, match="is larger than 8 MiB"):
        read_text(file, "a text")
    with pytest.raises(InputError, match="is a directory"):
        read_text(file.parent, "a text")
    with pytest.raises(InputError, match="does not exist; check its name"):
        read_text(file.parent / "none", "a text")


@pytest.mark.parametrize(
    "value", [[0] * 10**7, "x" * 10**7, {"a": "y" * 10**6}, 10**5000], ids=["list", "text", "mapping", "number"]
)
def test_values_are_cut_before_they_are_written_out(value: object) -> None:
    assert len(as_code(value)) < 200
    assert as_code("x") == "'x'"
    assert as_code({"a": [1, 2.5]}) == "{'a': [1, 2.5]}"
