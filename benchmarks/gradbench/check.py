"""``python -m benchmarks.gradbench.check MODULE``: hold the functions of a module against the cases."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any

from .inputs import NAMES, SIZES
from .judge import Case, WrongResultError, cases, error_of


def result_of(module: Any, case: Case) -> Any:
    """Call a module's function for a case."""
    return getattr(module, case.function)(getattr(module, f"{case.name}_prepare")(case.inputs))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per case, and how many are right; return 0 if all are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gradbench.check")
    parser.add_argument("module", help="benchmarks.gradbench, or one that offers the same functions")
    parser.add_argument("--evals", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help="which to check")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES, metavar="SIZE", help="tiny, middle, large")
    options = parser.parse_args(arguments)
    module = importlib.import_module(options.module)
    right: list[bool] = []
    for size in options.sizes:
        for name in options.evals:
            for case in cases(name, size):
                try:
                    found = f"{error_of(case, result_of(module, case)):.1e}"
                    right.append(True)
                except WrongResultError as error:
                    found = f"WRONG: {error}"
                    right.append(False)
                print(f"{name:9} {size:7} {case.mode:3} {case.part:11} {found}", flush=True)
    print(f"{sum(right)}/{len(right)} cases")
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
