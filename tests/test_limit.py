"""What the limit of `conftest.py` counts: what processors work, and not what a clock on the wall says."""

from pathlib import Path

import pytest

pytest_plugins = ("pytester",)

SOURCE = """
import subprocess, sys, time, pytest

BUSY = "import time; start = time.process_time()\\nwhile time.process_time() - start < 0.5: pass"

def test_sleeps(): time.sleep(0.5)
def test_works(): exec(BUSY)
def test_lets_another_work(): subprocess.run([sys.executable, "-c", BUSY], check=True)
def test_is_called_slow(): exec(BUSY)
test_is_called_slow.pytestmark = [pytest.mark.slow]
"""


def test_a_test_is_held_to_work_and_not_to_time(pytester: pytest.Pytester) -> None:
    limited = Path(__file__).with_name("conftest.py").read_text("utf-8").replace("LIMIT = 20.0", "LIMIT = 0.4")
    pytester.makeconftest(limited)
    pytester.makeini("[pytest]\nmarkers = slow: may work")
    pytester.makepyfile(SOURCE)
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    done.assert_outcomes(passed=2, failed=2)
    done.stdout.fnmatch_lines(["FAILED *::test_works*", "FAILED *::test_lets_another_work*"])
