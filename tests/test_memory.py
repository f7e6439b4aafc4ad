import subprocess
import sys

from medrecon.memory import available_memory


def test_there_is_some_memory_and_not_more_than_the_machine_has() -> None:
    assert 2**20 < available_memory() < 2**50


def test_a_limit_on_the_address_space_counts() -> None:
    code = (
        "import resource; from medrecon.memory import available_memory; "
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); print(available_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 2**30
