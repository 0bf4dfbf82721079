"""Source: a program as text that a person can read, and that needs no tapem."""

from __future__ import annotations

import dataclasses
import itertools
import keyword
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from tapem.compiler.emit import Emitter, Line
from tapem.compiler.passes.common import constant_key
from tapem.compiler.readable import index_text, readable, tidy, tidy_return
from tapem.compiler.sharing import fresh_outputs
from tapem.compiler.stripping import BUILTINS
from tapem.compiler.texts import literal
from tapem.compiler.unwritable import Unwritable
from tapem.compiler.writing import Writer
from tapem.core import (
    Node,
    Primitive,
    ShapeDtype,
    Static,
    UnknownNumber,
    abstract_residuals,
    node_type,
    pick,
    tree_flatten,
    tree_unflatten,
)
from tapem.errors import ArgumentError
from tapem.transforms import Kept, Program, Pulled, kept, pulled


class Leaf(NamedTuple):
    """A leaf of an argument: its number, the expression that takes it out of the argument, and its keys in there."""

    number: int
    expression: str
    keys: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Place:
    """The place of a leaf in a tree, where its value will stand."""

    number: int


def source_of(program: Program, name: str, arguments: Mapping[str, Any], result: Any) -> str:
    """The program as NumPy source: a function of this name.

    `arguments` are from the names to trees of the `Place`s of the program's inputs; `result` is a tree of those of its
    outputs. Raises ArgumentError, which names the op, for what cannot be written out.
    """
    name = name if name.isidentifier() and not keyword.iskeyword(name) and name != "np" else "f"
    leaves = {leaf.number: (key, leaf) for key, tree in arguments.items() for leaf in leaves_of_argument(key, tree)}
    names = leaf_names({number: leaf for number, (_, leaf) in leaves.items()}, [*arguments, name])
    emitter = SourceEmitter(program, [names[number] for number in range(len(program.inputs))], [name, *arguments])
    outputs = emitter.emit()
    fresh = fresh_outputs(program, outputs)
    lines = [
        Line(f"{names[number]} = {leaf.expression}", program.nodes[program.inputs[number]])
        for number, (_, leaf) in sorted(leaves.items())
        if leaf.keys and is_used(program, number)
    ]
    whole = [
        f"# {key}: {kind_text(program.nodes[program.inputs[number]])}"
        for number, (key, leaf) in sorted(leaves.items())
        if not leaf.keys
    ]
    returned = tree_text(result, fresh, emitter.writer)
    lines += emitter.lines
    body = [*whole, *with_comments([Line(tidy(line.text), line.node) for line in lines])]
    hidden = [key for key in arguments if key in {"np", *BUILTINS} and re.search(rf"\b{key}[.(]", "\n".join(body))]
    if hidden:
        raise ArgumentError(f"compile: the argument {hidden[0]!r} hides what the program uses; give it another name.")
    writer = emitter.writer
    head = "\n".join(writer.imports)
    body += tidy_return(returned).splitlines()
    entry = "\n".join([f"def {name}({', '.join(arguments)}):", *("    " + line for line in body)])
    return "\n\n\n".join([head, *grouped(writer.definitions), entry])


def kind_text(node: Node) -> str:
    """Shape and dtype of a value, `f64[3]`; a Python number has none."""
    return str(node.output) if type(node.output) is UnknownNumber else node_type(node)


def with_comments(lines: Sequence[Line]) -> list[str]:
    """The lines, each with the type of its value behind it."""
    width = min(60, max((len(line.text) for line in lines if line.node is not None), default=0))
    return [line.text if line.node is None else f"{line.text:<{width}}  # {kind_text(line.node)}" for line in lines]


def grouped(definitions: Sequence[str]) -> list[str]:
    """The definitions in blocks: neighboring constants are one block."""
    groups = itertools.groupby(definitions, lambda text: text.startswith(("def ", "class ", "@")))
    return [text for is_block, texts in groups for text in ([*texts] if is_block else ["\n".join(texts)])]


def is_used(program: Program, number: int) -> bool:
    """Whether anything needs an input."""
    id = program.inputs[number]
    return id in program.outputs or any(id in node.parents for node in program.nodes)


class SourceEmitter(Emitter):
    """Writes the lines of a program for a reader; `writer` holds what stands above them."""

    def __init__(self, program: Program, inputs: Sequence[str], taken: Sequence[str] = ()) -> None:
        """As for an emitter; no name is that of a builtin that a line may call."""
        super().__init__(program, inputs, [*taken, "abs", "complex", "range", "slice", "type", "tuple"])
        half = any("float16" in node_type(node) or "f16" in node_type(node) for node in program.nodes)
        self.writer = Writer(self._used, half)
        # The cotangents of joint rules, by their nodes: of each its name, or nothing if it is not used.
        self.cotangents: dict[int | None, list[str]] = {}
        # Of the calls of ops that keep something: the line, what is kept, and the names of its parts that are used.
        self.whole: dict[str, tuple[int, Primitive, Any, dict[int, str]]] = {}
        self.values: set[str] = set()

    def emit(self, write: Callable[[Emitter, Node], str | None] | None = None) -> list[str]:
        """Write all nodes; calls of ops that keep something take it apart."""
        self.whole, self.values, self.cotangents = {}, set(), {}
        outputs = super().emit(write)
        for name, (place, _, residuals, parts) in self.whole.items():
            target = targets(residuals, parts, itertools.count()) if parts else "_"
            line = self.lines[place]
            value = name if name in self.values else "_"
            self.lines[place] = Line(f"{value}, {target} = {line.text}", line.node)
        return outputs

    def bind(self, value: Any, name: str) -> str:
        """The text that stands for a value, which is defined above the program."""
        return self.writer.expression(value, name)

    def node(self, node: Node) -> str:
        """Write one node. Raises ArgumentError for an op that cannot be written out."""
        try:
            return self.written(node)
        except Unwritable as why:
            op: Any = node.static["what"].op if node.op is kept else node.op
            raise ArgumentError(f"compile: the op {op.name} cannot be written out: {why}.") from None

    def written(self, node: Node) -> str:
        """The same, with the reason alone."""
        op: Any = node.op
        operands = self.operands(node)
        if op is pick and node.parents[0] not in {*self.results, *self.cotangents}:
            source = self.program.nodes[cast("int", node.parents[0])]
            index = cast("int", node.static["index"])
            name = self.fresh(f"{source.op.name}_{index}")
            self.lines.append(Line(f"{name} = {operands[0]}[{index}]", node))
            return name
        if op is kept:
            what: Kept = node.static["what"]
            call = self.call(what.op, what.operands(operands), what.static, node)
            return self.part(call, what.leaf)
        if op is pulled:
            return self.pulled(node, operands)
        if op is pick and node.parents[0] in self.cotangents:
            return self.picked(node)
        if isinstance(op, Primitive) and op.name == "scatter":
            return self.scatter(node, operands)
        if getattr(op, "name", "") == "transpose" and node.id not in self.program.outputs:
            text = self.expression(node, operands)
            if text is not None and text == f"{operands[0]}.T":
                return text  # it stands where it is used
        name = super().node(node)
        if getattr(op, "residuals", False):
            self.values.add(name)
        return name

    def expression(self, node: Node, operands: Sequence[str]) -> str | None:
        """The expression of an op that has a text."""
        if type(node.output) is not ShapeDtype:
            found = super().expression(node, operands)
            if found is not None or not isinstance(node.output, tuple):
                return found
        return readable(cast("Any", node.op), operands, node.inputs, node.static, self.constant)

    def assign(self, node: Node, expression: str) -> str:
        """Write `name = expression`; the value of a function above is not called as the function."""
        return self.named(cast("Any", node.op).name, expression, node)

    def fallback(self, op: Primitive, operands: Sequence[Any], static: Static) -> str:
        """A call of the function that is written above; its own defaults are left out."""
        other = {
            key: value
            for key, value in static.items()
            if type(value) is not type(op.defaults[key]) or constant_key(value) != constant_key(op.defaults[key])
        }
        return super().fallback(op, operands, Static(other))

    def scatter(self, node: Node, operands: Sequence[str]) -> str:
        """Zeros, and a line that adds to some of them."""
        name = self.fresh("scatter")
        x, *arrays = operands
        index, kinds = index_text(node.static["at"], arrays), [ShapeDtype.of(kind).dtype.kind for kind in node.inputs]
        zeros = f"{name} = np.zeros({node.static['shape']}, {literal(node.dtype)})"
        once = not arrays or kinds[1:] == ["b"]
        where = f"np.s_[{index}]" if ":" in index else f"({index},)"
        adding = f"{name}[{index}] += {x}" if once else f"np.add.at({name}, {where}, {x})"
        self.lines += [Line(zeros, node), Line(adding)]
        return name

    # -- rules that are called -------------------------------------------------------------------------------------

    def pulled(self, node: Node, operands: Sequence[str]) -> str:
        """Write the call of a rule, with what it is shown: cotangent, value, what the op keeps, and the operands."""
        what: Pulled = node.static["what"]
        op, given = what.op, tree_unflatten(what.structure, [*map(Place, range(len(operands)))])
        g, output, residuals, inputs = given
        shown = (g, output, residuals, *inputs) if op.residuals else (g, output, *inputs)
        texts = [tree_text(part, operands, self.writer) for part in shown]
        options = [f"{key}={self.constant(value)}" for key, value in what.static.items()]
        kinds = {number: ShapeDtype.of(node.inputs[place.number]) for number, place in enumerate(inputs) if place}
        names = [f"{op.name}_{op.operand_name(position)}_cotangent" for position in what.wanted]
        alike = len({node.dtype for node in kinds.values() if node.dtype.kind in "fc"}) == 1

        def fitted(text: str, position: int) -> str:
            text = self.writer.computed(text)
            return text if alike else f"{text}.astype({literal(kinds[position].dtype)}, copy=False)"

        if isinstance(op.rrule, tuple):
            (position,) = what.wanted
            rule = self.bind(op.rrule[position], f"pull_{op.name}_{op.operand_name(position)}")
            return self.named(names[0], fitted(f"{rule}({', '.join([*texts, *options])})", position), node)
        rule = self.bind(op.rrule, f"pull_{op.name}")
        found = self.named(f"{op.name}_cotangents", f"{rule}({', '.join([*texts, *options])})", node)
        self.cotangents[node.id] = [fitted(f"{found}[{position}]", position) for position in what.wanted]
        return found

    def picked(self, node: Node) -> str:
        """Write the cotangent of one operand, from those of a joint rule."""
        source = self.program.nodes[cast("int", node.parents[0])]
        what: Pulled = source.static["what"]
        index = cast("int", node.static["index"])
        name = f"{what.op.name}_{what.op.operand_name(what.wanted[index])}_cotangent"
        return self.named(name, self.cotangents[source.id][index], node)

    def named(self, name: str, expression: str, node: Node) -> str:
        """Write `name = expression`."""
        found = self.fresh(f"{name}_value" if expression.startswith(f"{name}(") else name)
        self.lines.append(Line(f"{found} = {expression}", node))
        return found

    # -- what ops keep ---------------------------------------------------------------------------------------------

    def call(self, op: Primitive, operands: Sequence[Any], static: Static, node: Node) -> str:
        """The name of the value of an op that keeps residuals; the line is completed in the end."""
        given = tuple(["None" if operand is None else operand for operand in operands])
        key = op, given, tuple((name, self.constant(value)) for name, value in static.items())
        known = self._calls.get(key)
        if known is None:
            expression = self.fallback(op, operands, static)
            known = self._calls[key] = self.fresh(f"{op.name}_value")
            what: Any = node.static["what"] if node.op is kept else None
            inputs = node.inputs if what is None else what.operands(node.inputs)
            residuals = abstract_residuals(op, inputs, static)
            self.whole[known] = len(self.lines), op, residuals, {}
            self.lines.append(Line(expression, node))
        return known

    def part(self, call: str, leaf: int) -> str:
        """The name of something that an op keeps."""
        _, op, _, parts = self.whole[call]
        if leaf not in parts:
            parts[leaf] = self.fresh(f"{op.name}_kept")
        return parts[leaf]


def targets(residuals: Any, parts: Mapping[int, str], numbers: Any) -> str:
    """The target of an assignment that takes residuals apart: names for the leaves that are used, `_` for others."""
    if type(residuals) in (tuple, list):
        inside = [targets(part, parts, numbers) for part in residuals]
        return "_" if all(part == "_" for part in inside) else f"({', '.join(inside)}{',' * (len(inside) == 1)})"
    count = len(tree_flatten(residuals)[0])
    own = [next(numbers) for _ in range(count)]
    if count > 1 and any(number in parts for number in own):
        raise Unwritable(f"it keeps a {type(residuals).__name__}")
    return parts.get(own[0], "_") if own else "_"


# -- trees -------------------------------------------------------------------------------------------------------------


def leaves_of_argument(expression: str, tree: Any, keys: tuple[str, ...] = ()) -> list[Leaf]:
    """The leaves of an argument. Raises ArgumentError for a tree that Python has no expression for."""
    match tree:
        case Place():
            return [Leaf(tree.number, expression, keys)]
        case None:
            return []
        case dict():
            parts = [(f"{expression}[{key_text(key)}]", str(key), part) for key, part in tree.items()]
        case tuple() if hasattr(tree, "_fields"):
            parts = [(f"{expression}.{key}", key, getattr(tree, key)) for key in cast("Any", tree)._fields]
        case list() | tuple():
            parts = [(f"{expression}[{key}]", str(key), part) for key, part in enumerate(cast("Any", tree))]
        case _ if dataclasses.is_dataclass(tree):
            names = [field.name for field in dataclasses.fields(tree)]
            parts = [(f"{expression}.{key}", key, getattr(tree, key)) for key in names]
        case _:
            raise ArgumentError(f"compile: {expression}, a {type(tree).__name__}, cannot be written out.")
    return [leaf for text, key, part in parts for leaf in leaves_of_argument(text, part, (*keys, key))]


def key_text(key: Any) -> str:
    """A key of a dict. Raises ArgumentError if it is no plain value."""
    text = literal(key)
    if type(key) is str and key.isprintable() and not {'"', "\\"} & {*key}:
        return f'"{key}"'
    if text is None:
        raise ArgumentError(f"compile: the key {key!r} of a dict cannot be written out.")
    return text


def leaf_names(leaves: Mapping[int, Leaf], taken: Sequence[str]) -> dict[int, str]:
    """Names for the leaves: the last key with the numbers of the way to it, `w0`, or the whole way, `params_0_w`."""
    short, long = {}, {}
    for number, leaf in leaves.items():
        words = [key for key in leaf.keys if not key.isdigit()]
        digits = [key for key in leaf.keys if key.isdigit()]
        short[number] = f"{words[-1]}{'_'.join(digits)}" if words else ""
        argument = leaf.expression.split("[")[0].split(".")[0]
        long[number] = "_".join([argument, *leaf.keys]) if leaf.keys else leaf.expression
    counts = Counter(short.values())
    found: dict[int, str] = {}
    used = {"np", *taken, *keyword.kwlist}
    for number, leaf in leaves.items():
        name = short[number]
        if not leaf.keys:
            name = leaf.expression
        elif not name.isidentifier() or counts[name] > 1 or name in used:
            name = "".join(c if c.isalnum() else "_" for c in long[number])
            while name in used or name in found.values():
                name += "_"
        found[number] = name
    return found


def tree_text(tree: Any, outputs: Sequence[str], writer: Writer) -> str:
    """The expression of a tree of outputs. Raises ArgumentError for a tree that Python has no expression for."""
    match tree:
        case Place():
            return outputs[tree.number]
        case None:
            return "None"
        case dict() if type(tree) in (dict, OrderedDict):
            inside = ", ".join(f"{key_text(k)}: {tree_text(v, outputs, writer)}" for k, v in tree.items())
            return (
                f"{{{inside}}}" if type(tree) is dict else f"{writer.imported('collections')}.OrderedDict({{{inside}}})"
            )
        case list() | tuple() if not hasattr(tree, "_fields"):
            parts = [tree_text(part, outputs, writer) for part in cast("Any", tree)]
            inside = ", ".join(parts)
            return f"[{inside}]" if isinstance(tree, list) else f"({inside}{',' * (len(parts) == 1)})"
        case _:
            pass
    try:
        if hasattr(tree, "_fields"):
            parts = [tree_text(part, outputs, writer) for part in tree]
        elif dataclasses.is_dataclass(tree):
            fields = [field.name for field in dataclasses.fields(tree)]
            parts = [f"{key}={tree_text(getattr(tree, key), outputs, writer)}" for key in fields]
        else:
            raise Unwritable("it is no plain tree")
        return f"{writer.expression(type(tree), type(tree).__name__)}({', '.join(parts)})"
    except Unwritable as why:
        raise ArgumentError(f"compile: the result, a {type(tree).__name__}, cannot be written out: {why}.") from None


__all__ = ["Place", "source_of"]
