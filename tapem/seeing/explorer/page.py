"""show: a tape and its sweeps as one self-contained HTML page, which opens from a file and inline in a notebook."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from tapem.compiler import Compiled
from tapem.core import LEAF, Immutable, Node, Primitive, ShapeDtype, is_several, node_line, setter, tree_leaves
from tapem.doors.pure import Tape
from tapem.errors import ArgumentError, TapeError
from tapem.seeing.displays import ShownTree
from tapem.seeing.explorer.differences import MOST, Difference, differences_of
from tapem.seeing.explorer.layout import layout
from tapem.seeing.origins import Origin
from tapem.seeing.signatures import axes_of, signature_text
from tapem.seeing.steps import Sweep, forward_steps, reverse_steps
from tapem.seeing.subjects import Subject, leaves_of, subject_of
from tapem.seeing.summaries import number_text, summary_of
from tapem.seeing.taping import Taped
from tapem.sweeps import ForwardStep, ReverseStep, file_text, place_of, places_of, sources_of, value_text


class Explorer(Immutable):
    """A page, as text; a notebook shows it inline, and `save` writes it.

    It needs no server and no network, and runs in any browser of the last years.
    """

    __slots__ = ("html", "title")

    html: str
    title: str

    def __init__(self, title: str, html: str) -> None:
        """Of a whole HTML document."""
        setter(Explorer, "title")(self, title)
        setter(Explorer, "html")(self, html)

    def save(self, path: str | Path) -> None:
        """Write the page to a file."""
        Path(path).write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        # A document of its own: the page's styles and names stay apart from those of the notebook.
        return (
            f'<iframe title="{html.escape(self.title)}" srcdoc="{html.escape(self.html)}" '
            'style="width:100%;height:640px;border:1px solid #8886;border-radius:6px"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<Explorer of {self.title}: {len(self.html) // 1000} kB; .save(path) writes it>"


def show(x: Any, *arguments: Any, path: str | Path | None = None) -> Explorer | ShownTree:
    """The explorer of a tape, of a function with its arguments, of a `do` program, a model with an input, or a sweep.
    Of a tree of arrays, such as parameters, its display: the nodes fold, the leaves show numbers or a picture.

    The page steps through the computation and then through the reverse sweep (or forward mode), with the rule of each
    node and its numbers, the derivative that arrives and what is handed on, finite differences beside it, and the line
    of the user's code that made the node. Layers and calls fold. With a `path` the page is written there as well.

    A compiled function is shown twice: as its program, which the passes improved, and as it runs without `tm.compile`.

    The sweep begins at the only output; of a value that is no scalar, with a cotangent of ones.

    Raises ArgumentError for what cannot be shown.

    >>> import numpy as np
    >>> show(lambda x: np.tanh(x) * x, 0.5).title
    '<lambda>'
    """
    if not arguments and is_tree(x):
        shown = ShownTree(x)
        if path is not None:
            shown.save(path)
        return shown
    if isinstance(x, Sweep):
        subject = Subject(x.tape, (), {}, f"a {x.mode} sweep")
        programs = [data_of(subject, [x], "")]
    elif isinstance(x, Compiled):
        subject = subject_of(x, *arguments, caller="show")
        f, values = x.improved(*arguments)
        after = subject_of(f, *values, caller="show")
        programs = [data_of(one, sweeps_of(one, True), name) for one, name in ((after, "compiled"), (subject, "eager"))]
    else:
        subject = subject_of(x, *arguments, caller="show")
        programs = [data_of(subject, sweeps_of(subject), "")]
    page = Explorer(subject.title, document(subject.title, programs))
    if path is not None:
        page.save(path)
    return page


def is_tree(x: Any) -> bool:
    """Whether x is a tree with an array in it, or an array."""
    if isinstance(x, Tape | Taped | Sweep | Explorer) or callable(x) or hasattr(x, "apply"):
        return False
    return any(isinstance(leaf, np.ndarray | ShapeDtype) for leaf in tree_leaves(x))


def sweeps_of(subject: Subject, lenient: bool = False) -> list[Sweep]:
    """The reverse sweep of the output, and the forward sweep of all leaves; none of a tape without values.

    Of several outputs there is none if `lenient`, and an ArgumentError otherwise.
    """
    if not len(subject.tape) or any(isinstance(node.output, ShapeDtype) for node in subject.tape):
        return []
    if len(subject.outputs) != 1:
        if lenient:
            return []
        raise ArgumentError(
            f"show: {subject.title} has {len(subject.outputs)} outputs; a sweep begins at one. Return one value, or "
            "give a tape and one output."
        )
    (out,) = subject.outputs
    leaves = leaves_of(subject.tape)
    if not np.issubdtype(out.dtype, np.inexact) or not leaves:
        return []
    reverse = reverse_steps(subject.tape, out, np.ones(out.shape, out.dtype))
    try:
        tangents = {leaf: np.ones(leaf.shape, leaf.dtype) for leaf in leaves}
        return [reverse, forward_steps(subject.tape, tangents)]
    except TapeError:  # an op on the way has no rule for forward mode
        return [reverse]


def data_of(subject: Subject, sweeps: list[Sweep], name: str) -> dict[str, Any]:
    """All that the page shows of one program, as plain data; with several programs, each has a name."""
    nodes = list(subject.tape)
    kinds: dict[Any, int] = {}
    for node in nodes:
        kinds.setdefault(node.op, len(kinds))
    plan = layout(nodes, subject.origins)
    differences: dict[int, Difference] = {}
    for sweep in sweeps:
        if sweep.mode == "reverse":
            differences = differences_beside(nodes, sweep)
    return {
        "name": f"{name}: {len(nodes)} nodes",
        "ops": [op_data(op) for op in kinds],
        "nodes": [
            node_data(node, subject.origins.get(node.id), plan.lanes[node.id]) | {"kind": kinds[node.op]}
            for node in nodes
        ],
        "rows": plan.rows,
        "width": plan.width,
        "folders": [folder._asdict() for folder in plan.folders],
        "outputs": [out.node.id for out in subject.outputs] or [id for sweep in sweeps for id in sweep.start][:1],
        "sweeps": [{"mode": sweep.mode, "steps": [step_data(cast("Any", step)) for step in sweep]} for sweep in sweeps],
        "differences": {
            str(id): {
                "difference": number_text(one.difference),
                "sweep": number_text(one.sweep),
                "agrees": one.agrees,
                "kink": one.kink,
            }
            for id, one in differences.items()
        },
    }


def differences_beside(nodes: list[Node], sweep: Sweep) -> dict[int, Difference]:
    """The differences beside the cotangents of a reverse sweep."""
    (last,) = sweep.start
    steps = [step for step in sweep if isinstance(step, ReverseStep)]
    cotangents = {step.node.id: step.cotangent for step in steps if step.skipped is None}
    if last not in cotangents:
        return {}
    ids = [id for id in cotangents if len(nodes) <= MOST or nodes[id].op is LEAF]
    return differences_of(nodes, cotangents, last, cotangents[last], ids)


def op_data(op: Any) -> dict[str, Any]:
    """Where an op is declared, and where its rules are written, by mode: one for each operand, or one for all."""
    if not isinstance(op, Primitive):
        return {}
    modes = {"reverse": (op.rrule, "g"), "forward": (op.frule, "t")} if op.differentiable else {}
    return {
        "declared": str(place_of(op) or ""),
        **{
            mode: [
                {"rule": text, "place": str(place or ""), "source": "" if place is None else place.text}
                for text, place in zip(sources_of(rules, letter), places_of(rules), strict=True)
            ]
            for mode, (rules, letter) in modes.items()
            if rules is not None
        },
    }


def node_data(node: Node, origin: Origin | None, lane: int) -> dict[str, Any]:
    """A node as data."""
    op: Any = node.op
    operands = (
        [] if node.op is LEAF or not hasattr(op, "operand_name") else [*map(op.operand_name, range(len(node.parents)))]
    )
    data: dict[str, Any] = {
        "id": node.id,
        "op": node.op.name,
        "name": node.name or "",
        "line": node_line(node).removesuffix("  requires grad"),
        "lane": lane,
        "leaf": node.op is LEAF,
        "grad": node.requires_grad,
        "parents": list(node.parents),
        "operands": operands,
        "value": summary_of(node.output),
        "signature": signature_text(node),
        "axes": axes_of(node),
    }
    if origin is not None and origin.line:
        data["source"] = {"file": file_text(origin.file), "line": origin.line, "text": origin.text}
    return data


def step_data(step: ReverseStep | ForwardStep) -> dict[str, Any]:
    """A step of a sweep as data; one that visits nothing holds only why."""
    if step.skipped is not None:
        return {"node": step.node.id, "skipped": step.skipped}
    derivative = step.cotangent if isinstance(step, ReverseStep) else step.tangent
    return {
        "node": step.node.id,
        "rule": step.rule,
        "derivative": summary_of(derivative),
        "contributions": [
            {
                "parent": part.parent,
                "operand": part.operand,
                "rule": part.rule,
                "numbers": part.numbers,
                "value": summary_of(part.value),
                "running": summary_of(part.running),
                "text": value_text(part.value) if not is_several(part.value) else "",
            }
            for part in step.contributions
        ],
    }


@cache
def part(name: str) -> str:
    """A file beside this one."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def document(title: str, programs: Sequence[Mapping[str, Any]]) -> str:
    """The whole page, of one program or several."""
    text = json.dumps(programs, separators=(",", ":"), default=str).replace("</", "<\\/").replace("<!--", "<\\!--")
    return (
        part("page.html")
        .replace("{{title}}", html.escape(title))
        .replace("{{style}}", part("page.css"))
        .replace("{{script}}", part("values.js") + part("page.js"))
        .replace("{{data}}", text)
    )


__all__ = ["Explorer", "show"]
