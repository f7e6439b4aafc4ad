import pytest

from medrecon.words import counted, listed


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
