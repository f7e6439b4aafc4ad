"""Methods on scenarios: rows, means with intervals, robustness; resumable, on one machine or many."""

from medrecon.benchmark.cluster import Workers
from medrecon.benchmark.page import run_with_page, write_page
from medrecon.benchmark.run import Finished, run_benchmark
from medrecon.benchmark.schedule import load_benchmark
from medrecon.benchmark.tables import summary_lines
from medrecon.benchmark.tuning import tune_method, tuning_rows

__all__ = [
    "Finished",
    "Workers",
    "load_benchmark",
    "run_benchmark",
    "run_with_page",
    "summary_lines",
    "tune_method",
    "tuning_rows",
    "write_page",
]
