"""Study: a measurement of tapem alone, with its own table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """The result of a study: a row of column headings, rows of cells, and sentences below the table."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=tuple[str, ...])


@dataclass(frozen=True)
class Study:
    """A named measurement. ``measure(quick)`` runs it in its own process; ``quick`` makes it short."""

    name: str
    title: str
    measure: Callable[[bool], Table]
