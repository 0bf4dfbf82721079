"""The report, in Markdown."""

import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .compare import REFERENCE, Row
from .libraries import LIBRARIES, version
from .study import Table


def header(core: int | None, dtype: str = "float32") -> str:
    """One line about the machine of the measurements."""
    where = "one thread" if core is None else "one thread on one pinned core"
    return (
        f"{_processor()}, {where}; Python {platform.python_version()}, NumPy {np.__version__}{_vectors()}, {_blas()}; "
        f"{dtype}, medians."
    )


def ratio_table(rows: Sequence[Row], *, spread: bool) -> str:
    """The table: one row per workload, one column per library that has a measurement."""
    asked = [library for library in LIBRARIES if any(library.name in row.ratios | row.problems for row in rows)]
    names = [library.name for library in asked if library.name != REFERENCE]
    body = [[row.workload.title, *_reference(row), *(_cell(row, name, spread) for name in names)] for row in rows]
    return markdown(["work (hand-written NumPy = 1)", "NumPy, microseconds", "numpy", *names], body)


def legend(rows: Sequence[Row]) -> str:
    """One line per library: its note and its version."""
    lines = ["Columns:", ""]
    for library in LIBRARIES:
        if library.name == REFERENCE or any(library.name in row.ratios for row in rows):
            release = version(library.module)
            lines.append(f"- {library.name}{f' ({release})' if release else ''}: {library.note}")
    return "\n".join(lines)


def messages(rows: Sequence[Row]) -> str:
    """The errors, one line each; empty if there are none."""
    return "\n".join(f"- {message}" for row in rows for message in row.messages)


def study_table(title: str, table: Table) -> str:
    """A study's table under its title."""
    return "\n\n".join([f"**{title}**", markdown(table.headings, table.rows), *table.notes])


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are aligned in plain text too: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    return "\n".join([*table_head(headings, widths), *(table_row(row, widths) for row in rows)])


def table_head(headings: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The first two lines of a table whose columns are so wide."""
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [table_row(headings, widths), table_row(rule, widths)]


def table_row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """A further line of it."""
    padded = [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]
    return "| " + " | ".join(padded) + " |"


def _reference(row: Row) -> list[str]:
    if not row.reference_ns:
        return [row.problems.get(REFERENCE, "failed"), "-"]
    return [f"{statistics.median(row.reference_ns) / 1000:.0f}", "1"]


def _cell(row: Row, name: str, spread: bool) -> str:
    if name in row.problems:
        return row.problems[name]
    if not row.ratios.get(name):
        return "-"
    range_of_rounds = f" ({_figure(min(row.ratios[name]))} to {_figure(max(row.ratios[name]))})" if spread else ""
    return _figure(row.ratio(name)) + range_of_rounds


def _figure(ratio: float) -> str:
    """A ratio with three digits below 100, and without decimals above."""
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}" if ratio < 100 else f"{ratio:.0f}"


def _processor() -> str:
    cores = Path("/proc/cpuinfo")
    if cores.exists():
        names = [line.split(":", 1)[1].strip() for line in cores.read_text().splitlines() if "model name" in line]
        if names:
            return names[0]
    return platform.processor() or platform.machine() or "unknown processor"


def _vectors() -> str:
    """The widest vector instructions that NumPy found here, which say more about a processor than its name."""
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found") or []
    return f" ({found[-1]})" if found else ""


def _blas() -> str:
    """The BLAS that NumPy was built with, if NumPy reports it."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas.get('name', 'BLAS unknown')} {blas.get('version', '')}".strip()
