"""The display of an error: what each operand must be and is, and which axis has which size where."""

from __future__ import annotations

from tapem.display import Cell, Fold, Mark, Part, Sheet, Table, shows
from tapem.errors import Misfit, TapeError


@shows(TapeError)
def error_sheet(error: TapeError) -> Sheet:
    """The message; of a call that does not fit its signature, the operands and their axes as tables."""
    first, *rest = str(error).split("\n")
    title = f"{type(error).__name__}: {first}"
    if error.misfit is None:
        return Sheet(title, tuple(rest))
    return Sheet(title, tables_of(error.misfit, first))


def tables_of(misfit: Misfit, complaint: str) -> tuple[Part, ...]:
    """The operands, their axes and the hint; the axis that the complaint names is marked."""
    shown = 4 if any(label for *_, label in misfit.operands) else 3  # labels are those of nodes
    rows = tuple(operand[:shown] for operand in misfit.operands)
    parts: list[Part] = [Table(("operand", "must be", "is", "from")[:shown], rows)]
    if misfit.axes:
        names = [operand[0] for operand in misfit.operands]
        axes = tuple(axis_row(name, sizes, complaint) for name, sizes in misfit.axes)
        table = Table(("axis", *names, ""), axes)
        parts.append(table if len(axes) <= 12 else Fold(f"{len(axes)} axes", (table,)))
    return (*parts, f"hint: {misfit.hint}") if misfit.hint else tuple(parts)


def axis_row(name: str, sizes: tuple[str, ...], complaint: str) -> tuple[Cell, ...]:
    """The sizes of an axis in each operand."""
    named = f"'{name}'" in complaint or f"'*{name}'" in complaint
    return (name, *sizes, Mark("\N{BALLOT X} does not fit", False) if named else "")


__all__ = ["error_sheet"]
