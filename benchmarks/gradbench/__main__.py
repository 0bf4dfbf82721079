"""``python -m benchmarks.gradbench``: check, time, and print tapem, compiled tapem and jax.jit side by side."""

import argparse
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from .. import report
from ..compare import Effort
from ..libraries import installed
from ..processes import Worker, WorkerError, last_core
from .inputs import MODES, NAMES, SIZES

COLUMNS = {
    "tapem": "benchmarks.gradbench",
    "tapem compiled": "benchmarks.gradbench.compiled",
    "jax.jit": "benchmarks.gradbench.jax_jit",
}
FULL = Effort(starts=1, rounds=3, seconds=0.3)
QUICK = Effort(starts=1, rounds=1, seconds=0.05)

Figures = dict[str, float]
"""Milliseconds by column."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments name; return 1 if a library failed or gave a wrong result, else 0."""
    options = _parser().parse_args(arguments)
    core: int | None = options.core if options.core is not None else last_core()
    columns = [name for name in options.columns if name != "jax.jit" or installed("jax")]
    ratios = [f"{column} / jax.jit" for column in columns if column != "jax.jit"] if "jax.jit" in columns else []
    headings = ["eval", *columns, *ratios]
    chosen = list(_chosen(options))
    widths = [max(map(len, map(_title, chosen))), *(max(len(heading), 7) for heading in headings[1:])]
    problems: list[str] = []
    print(report.header(core, "float64"))
    print(f"\n{options.part.capitalize()}, milliseconds\n")
    print("\n".join(report.table_head(headings, widths)), flush=True)
    for case in chosen:  # each row is printed when it is known
        if sys.stderr.isatty():
            print(f"\r\033[K{' '.join(case)}\r", end="", file=sys.stderr, flush=True)
        found = _measured(case, columns, QUICK if options.quick else FULL, core, problems)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        print(report.table_row([_title(case), *_cells(found, columns)], widths), flush=True)
    if problems:
        print("\nNot measured:\n\n" + "\n".join(f"- {problem}" for problem in problems))
    return 1 if problems else 0


def _chosen(options: argparse.Namespace) -> Iterator[list[str]]:
    """The cases that the options name: each an eval, a size, a mode and a part."""
    for name in options.evals:
        for size in options.sizes:
            modes: Sequence[str] = options.modes if name in ("particle", "saddle") else ("-",)
            for mode in modes if options.part == "derivative" else ["-"]:
                yield [name, size, mode, options.part]


def _title(case: Sequence[str]) -> str:
    """What stands at the beginning of a row."""
    return " ".join(case[:3]).removesuffix(" -")


def _measured(
    case: list[str], columns: Sequence[str], effort: Effort, core: int | None, problems: list[str]
) -> Figures:
    """Check and time one case; the processes of the libraries are measured in turn."""
    samples: dict[str, list[float]] = {}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for column in columns:
            worker = stack.enter_context(Worker(["gradbench", COLUMNS[column], *case], core))
            try:
                worker.receive()
                workers[column] = worker
            except WorkerError as error:
                problems.append(f"{' '.join(case)}, {column}: {error}")
        for _ in range(effort.rounds):
            for column, worker in workers.items():
                samples.setdefault(column, []).append(worker.measure(effort.seconds) / 1e6)
    return {column: statistics.median(found) for column, found in samples.items()}


def _cells(found: Figures, columns: Sequence[str]) -> list[str]:
    """The milliseconds of every column, and their ratios to those of jax.jit."""
    unit = found.get("jax.jit", math.nan)
    ratios = [found.get(column, math.nan) / unit for column in columns if column != "jax.jit"]
    figures = [found.get(column, math.nan) for column in columns]
    return [_figure(x) for x in (figures + ratios if "jax.jit" in columns else figures)]


def _figure(x: float) -> str:
    """A number with three digits."""
    return "-" if math.isnan(x) else f"{x:.0f}" if x >= 100 else f"{x:.{2 - math.floor(math.log10(x))}f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gradbench", description="GradBench's twelve problems.")
    parser.add_argument("--evals", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help="which problems")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES[1:], metavar="SIZE", help="middle and large")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=["rr"], help="of particle and saddle")
    parser.add_argument("--part", choices=("primal", "derivative"), default="derivative", help="what to time")
    parser.add_argument("--columns", nargs="+", choices=COLUMNS, default=COLUMNS, metavar="NAME", help="of whom")
    parser.add_argument("--core", type=int, help="the core to pin to (the highest one by default)")
    parser.add_argument("--quick", action="store_true", help="a glance: one short round")
    return parser


if __name__ == "__main__":
    sys.exit(main())
