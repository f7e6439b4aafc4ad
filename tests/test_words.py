import pytest

from medrecon.words import counted, listed, shortened, sized


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 slices"), (1, "1 slice"), (2, "2 slices"), (12345, "12345 slices")]
)
def test_a_count_and_its_noun_agree(number: int, words: str) -> None:
    assert counted(number, "slice") == words


def test_nouns_may_have_a_plural_of_their_own() -> None:
    assert [counted(k, "process", "processes") for k in (1, 2)] == ["1 process", "2 processes"]


def test_long_lists_are_cut_short() -> None:
    assert listed([3]) == "3"
    assert listed(range(8)) == "0, 1, 2, 3, 4, 5, 6, 7"
    assert listed("abcd", most=2) == "a, b and 2 more"


def test_amounts_of_memory_have_a_fitting_unit() -> None:
    assert [sized(n) for n in (0, 1023, 1024, 3 * 2**29, 10**5000)] == [
        "0 bytes",
        "1023 bytes",
        "1.0 KiB",
        "1.5 GiB",
        "a million TiB and more",
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("short", "short"),
        ("a" * 10**6, "a" * 17 + "..."),
        ("a\n b\t\x1b[31m\ud800", "a b ?[31m?"),
        (b"\xff" * 10**6, None),
        (10**100_000, None),
        (["x" * 10**6] * 10**6, None),
        ({"k": [[[["x" * 10**6]]]]}, None),
        (ValueError("y" * 10**6), "y" * 17 + "..."),
        (1.5, "1.5"),
    ],
    ids=["short", "long", "controls", "bytes", "integer", "list", "nested", "error", "float"],
)
def test_values_of_files_are_said_on_one_short_line(value: object, words: str | None) -> None:
    said = shortened(value, 20)
    assert len(said) <= 20
    assert said.isprintable()
    assert words is None or said == words
