"""Control flow as text: a scan is a `for` over its slices, a while loop a `while`, a condition an `if`.

The body stands inside, as lines of its own. The state of a loop lies in variables, which each step sets at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from tapem.compiler.guards import guard
from tapem.compiler.texts import literal
from tapem.core import ShapeDtype, UnknownNumber
from tapem.transforms import Cond, Program, Scan, While, row_kinds

L = TypeVar("L")

Inside: TypeAlias = Callable[[Program, Sequence[str], int], tuple[list[L], list[str]]]
"""Writes a program inside, at a depth, given the names of its inputs: its lines, and the names of its outputs."""


def control_text(
    control: Scan | While | Cond,
    operands: Sequence[str],
    fresh: Callable[[str], str],
    inside: Inside[L],
    given: Callable[[Scan, Sequence[str]], set[int]],
) -> tuple[list[str | L], list[str]]:
    """The lines of a loop or condition, and the names of its outputs; `fresh` makes new names.

    `given` is told the names of the arrays in which the rows of a step are to lie, and says which of them `inside`
    writes itself.
    """
    if isinstance(control, Cond):
        return cond_text(control, operands, fresh, inside)
    if isinstance(control, While):
        return while_text(control, operands, fresh, inside)
    return scan_text(control, operands, fresh, inside, given)


def cond_text(
    cond: Cond, operands: Sequence[str], fresh: Callable[[str], str], inside: Inside[L]
) -> tuple[list[str | L], list[str]]:
    """An `if` with both branches."""
    results = [fresh("chosen") for _ in cond.kinds]
    lines: list[str | L] = []
    for head, branch in ((f"if {operands[0]}:", cond.yes), ("else:", cond.no)):
        body, outputs = inside(branch, [str(name) for name in cond.of(branch, operands)], 1)
        lines += [head, *body, "    " + (assigned(results, outputs[: len(results)]) or "pass")]
    return lines, results


def while_text(
    loop: While, operands: Sequence[str], fresh: Callable[[str], str], inside: Inside[L]
) -> tuple[list[str | L], list[str]]:
    """A `while`, whose condition is computed in its lines; what is stacked is collected in lists."""
    start, tested, captured = loop.parts(operands)
    state = [fresh("state") for _ in start]
    kinds = rows_of(loop)
    rows = [fresh("rows") for _ in kinds]
    test, holds = inside(loop.test, [*state, *tested], 1)
    body, outputs = inside(loop.body, [*state, *captured], 1)
    lines: list[str | L] = [assigned(state, start), *(f"{name} = []" for name in rows), "while True:", *test]
    lines += [f"    if not {holds[0]}:", "        break", *body]
    lines += [f"    {name}.append({value})" for name, value in zip(rows, outputs[loop.count :], strict=False)]
    lines += ["    " + assigned(state, outputs[: loop.count]), *map(stacked, rows, kinds)]
    return lines, [*state, *rows]


def scan_text(
    scan: Scan,
    operands: Sequence[str],
    fresh: Callable[[str], str],
    inside: Inside[L],
    given: Callable[[Scan, Sequence[str]], set[int]],
) -> tuple[list[str | L], list[str]]:
    """A `for` over the slices; the rows of the outputs are written into arrays that are made before."""
    end = scan.count + scan.xs
    xs, captured = operands[scan.count : end], operands[end:]
    state, slices = [fresh("state") for _ in range(scan.count)], [fresh("slice_of") for _ in xs]
    kinds, step = rows_of(scan), fresh("step")
    rows, own = [fresh("rows") for _ in kinds], [fresh("row") for _ in kinds]
    length = str(scan.length) if scan.length is not None else fresh("length")
    lines: list[str | L] = [assigned(state, operands[: scan.count])] if state else []
    if scan.length is None:
        lines.append(f"{length} = len({xs[0]})")
    lines += [
        f"{name} = np.empty({shape_text(length, kind)}, {literal(kind.dtype)})"
        for name, kind in zip(rows, kinds, strict=True)
    ]
    direct = given(scan, own)
    body, outputs = inside(scan.body, [*state, *slices, *captured], 1)
    numbers = [type(node.output) is UnknownNumber for node in scan.body.nodes[scan.count : end]]
    if len(direct) < len(rows) or not (xs or direct):
        lines.append(f"for {step} in {f'reversed(range({length}))' if scan.reverse else f'range({length})'}:")
        for name, x, number in zip(slices, xs, numbers, strict=True):
            lines.append(f"    {name} = {x}[{step}]{'.item()' if number else ''}")
        lines += [f"    {own[number]} = {rows[number]}[{step}]" for number in sorted(direct)]
    else:
        back = "[::-1]" if scan.reverse else ""
        taken = [
            (name, f"{x}{back}{'.tolist()' if number else ''}")
            for name, x, number in zip(slices, xs, numbers, strict=True)
        ]
        lines.append(each([*taken, *((own[number], rows[number] + back) for number in sorted(direct))]))
    head = len(lines)
    lines += body
    lines += [
        f"    {name}[{step}] = {value}"
        for number, (name, value) in enumerate(zip(rows, outputs[scan.count :], strict=False))
        if number not in direct
    ]
    last = assigned(state, outputs[: scan.count])
    if last or len(lines) == head:
        lines.append("    " + (last or "pass"))
    return lines, [*state, *rows]


def each(taken: Sequence[tuple[str, str]]) -> str:
    """The head of a `for` that takes names from what they run over, all at once."""
    if len(taken) == 1:
        return f"for {taken[0][0]} in {taken[0][1]}:"
    return f"for {', '.join(name for name, _ in taken)} in zip({', '.join(run for _, run in taken)}):"


def rows_of(loop: Scan | While) -> list[ShapeDtype]:
    """The kinds of the rows of a loop; the guards of its body, which come last, only check."""
    guards = sum(loop.body.nodes[id].op is guard for id in loop.body.outputs)
    kinds = row_kinds(loop.body, loop.count)
    return kinds[: len(kinds) - guards]


def assigned(names: Sequence[str], values: Sequence[str]) -> str:
    """One assignment of all values at once, since a value may be the old one of another name."""
    pairs = [(name, value) for name, value in zip(names, values, strict=True) if name != value]
    return f"{', '.join(name for name, _ in pairs)} = {', '.join(value for _, value in pairs)}" if pairs else ""


def stacked(name: str, kind: ShapeDtype) -> str:
    """Make an array of a list of rows, of which there may be none."""
    return f"{name} = np.array({name}, {literal(kind.dtype)}).reshape({shape_text(f'len({name})', kind)})"


def shape_text(length: str, kind: ShapeDtype) -> str:
    """The shape of rows of this kind."""
    lengths = [length, *map(str, kind.shape)]
    return f"({', '.join(lengths)})" if kind.shape else f"({length},)"


__all__ = ["control_text"]
