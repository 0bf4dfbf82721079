"""What a study is: a measurement of tapem alone, which makes a table of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """The result of a study: a row of column headings, rows of cells, and sentences to stand below."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=tuple[str, ...])


@dataclass(frozen=True)
class Study:
    """A named measurement. ``measure(quick)`` runs it, in a process of its own; quick asks for a glance only."""

    name: str
    title: str
    measure: Callable[[bool], Table]
