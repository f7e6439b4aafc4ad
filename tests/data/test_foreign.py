import logging
import threading
import warnings
from pathlib import Path

import pytest

from medrecon.data.foreign import reading
from medrecon.errors import InputError


@pytest.mark.parametrize(
    "raised",
    [
        KeyError("x"),
        RuntimeError("b-tree"),
        TypeError("dtype"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "start"),
        OverflowError("too large"),
        EOFError(),
        NotImplementedError("syntax"),
        AttributeError("no"),
        RecursionError(),
        OSError("inflate"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_library_raises_is_one_line_with_file_place_and_remedy(raised: Exception) -> None:
    with pytest.raises(InputError) as caught, reading("a.h5", "`kspace`", "fetch it again"):
        raise raised
    text = str(caught.value)
    assert text.startswith("a.h5: `kspace` cannot be read, and may be damaged or cut short (")
    assert text.endswith("); fetch it again")
    assert "\n" not in text
    assert "()" not in text
    assert caught.value.__cause__ is raised


def test_what_the_system_says_of_a_file_is_said_of_the_file(tmp_path: Path) -> None:
    for path, says in ((tmp_path / "no", "does not exist; check its name"), (tmp_path, "is a folder; name a file")):
        with pytest.raises(InputError, match=says), reading(path, "its header"):
            path.read_bytes()


def test_reasons_are_cut_before_they_are_printed() -> None:
    with pytest.raises(InputError) as caught, reading("a", "x"):
        raise ValueError("\ud800\n\x1b[31m" * 10_000)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()
    str(caught.value).encode()


def test_too_little_memory_is_said_as_such() -> None:
    with pytest.raises(InputError, match="x takes more memory than there is; close other programs"), reading("a", "x"):
        bytearray(2**62)


def test_refusals_of_ours_pass_as_they_are() -> None:
    with pytest.raises(InputError, match=r"^said already$"), reading("a", "x"):
        raise InputError("said already")


def test_the_user_can_always_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), reading("a", "x"):
        raise KeyboardInterrupt


def test_warnings_and_logs_of_libraries_stay_inside(capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("nibabel.global")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with reading("a", "x"):
            warnings.warn("pixdim", stacklevel=1)
            logger.warning("pixdim")
        assert not told
        warnings.warn("ours", stacklevel=1)
        assert len(told) == 1
    assert not logger.disabled
    assert capfd.readouterr() == ("", "")


def test_blocks_that_overlap_in_threads_leave_all_as_it_was() -> None:
    logger, filters = logging.getLogger("pydicom"), list(warnings.filters)
    first_is_open, second_is_open, first_is_done = threading.Event(), threading.Event(), threading.Event()
    told: list[bool] = []

    def second() -> None:
        first_is_open.wait(5)
        with reading("b", "y"):
            second_is_open.set()
            first_is_done.wait(5)
            told.append(logger.disabled)

    thread = threading.Thread(target=second)
    thread.start()
    with reading("a", "x"):
        first_is_open.set()
        assert second_is_open.wait(5)
    first_is_done.set()
    thread.join()
    assert told == [True]  # the second is still silent when the first has ended
    assert not logger.disabled
    assert list(warnings.filters) == filters
