"""The reference, made from the code: `{room}` lists the public names of a module, each with its docstring.

An op is shown with its typed signature, the source of its rules, its kinks and NumPy's names for it. `{kinks}` is a
table of all ops that have kinks.
"""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from collections.abc import Sequence
from typing import Any, ClassVar

from docutils import nodes
from numpy.typing import DTypeLike
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import tapem
from tapem import ops
from tapem.core import Primitive
from tapem.seeing import BATCHED, OpRules, rule_table

WIDTH = 92
"""The columns of a signature that a page shows without scrolling."""


class Room(SphinxDirective):
    """`{room} tapem` with `:names: a b`: these names, in this order; without, all public names of the module.

    `:from: packages` keeps those of objects that are made there, and `:except: names` leaves some out.
    """

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"names": str, "except": str, "from": str}
    has_content = False

    def run(self) -> list[nodes.Node]:
        """The sections of the names."""
        module = importlib.import_module(self.arguments[0])
        names = self.options.get("names", "").split() or names_of(module, self.options.get("from", "").split())
        hidden = self.options.get("except", "").split()
        lines = [line for name in names if name not in hidden for line in entry(module, name)]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


class Kinks(SphinxDirective):
    """`{kinks}`: the ops that have kinks, with what their docstrings say of these."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """The table."""
        return self.parse_text_to_nodes("\n".join(kinks()))


def kinks() -> list[str]:
    """The rows of the table of kinks, as Markdown."""
    packages = [importlib.import_module(name) for name in ("layers", "losses")]
    rows = ["| op | NumPy | where there is no derivative |", "|:--|:--|:--|"]
    for op in rule_table(ops, *packages):
        home = next((module for module in (tapem, *packages) if hasattr(module, op.name)), None)
        prefix = "tm" if home is tapem else "" if home is None else home.__name__
        name = f"`{op.name}`" if home is None else f"[`{prefix}.{op.name}`](#{home.__name__}.{op.name})"
        if op.kinks:
            rows.append(f"| {name} | {', '.join(map(code, op.numpy))} | {escaped(op.kinks)} |")
    return rows


def names_of(module: Any, packages: Sequence[str]) -> list[str]:
    """The public names of a module; only those of objects from some packages, if these are given."""
    listed = getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]
    public = [name for name in listed if callable(getattr(module, name)) or module.__name__ == "tapem"]
    return [name for name in public if not packages or home(getattr(module, name)).startswith(tuple(packages))]


def home(value: object) -> str:
    """The module in which an object was made."""
    wrapped = getattr(value, "__wrapped__", value)
    return str(getattr(wrapped, "__module__", ""))


def entry(module: Any, name: str) -> list[str]:
    """The Markdown of one name: heading, signature, docstring."""
    value = getattr(module, name)
    prefix = "tm" if module.__name__ == "tapem" else module.__name__.replace("tapem.", "tm.")
    kind = "class." if inspect.isclass(value) else ""  # labels do not tell Linear from linear
    lines = [f"({kind}{module.__name__}.{name})=", f"## `{prefix}.{name}`", ""]
    lines += ["```python", signature(name, value), "```", ""]
    lines += prose(inspect.getdoc(value) or "")
    if isinstance(value, Primitive):
        lines += rules(value)
    elif inspect.isclass(value):
        for method, function in vars(value).items():
            if not method.startswith("_") and callable(getattr(function, "__func__", function)):
                text = inspect.getdoc(function)
                if text:
                    shown = signature(method, getattr(function, "__func__", function))
                    lines += [
                        f"`.{shown}`",
                        *(f": {line}" if i == 0 else f"  {line}" for i, line in enumerate(prose(text))),
                        "",
                    ]
    return [*lines, ""]


def signature(name: str, value: Any) -> str:
    """The signature of a function or a class as a call."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return name
    parameters: list[str] = []
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not any(part.startswith("*") for part in parameters):
            parameters.append("*")
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        typed = "" if parameter.annotation is parameter.empty else f": {annotation(parameter.annotation)}"
        default = "" if parameter.default is parameter.empty else default_text(parameter.default, bool(typed))
        parameters.append(f"{stars}{parameter.name}{typed}{default}")
    returned = found.return_annotation
    result = "" if inspect.isclass(value) or returned is found.empty else f" -> {annotation(returned)}"
    line = f"{name}({', '.join(parameters)}){result}"
    return "\n".join(textwrap.wrap(line, WIDTH, subsequent_indent="    ", break_long_words=False))


def annotation(hint: Any) -> str:
    """The text of an annotation, as it stands in source."""
    if hint == DTypeLike:
        return "DTypeLike"
    text = hint if isinstance(hint, str) else inspect.formatannotation(hint)
    text = re.sub(r"\b(typing|collections\.abc|npt|numpy\.typing)\.|~", "", str(text).strip("'"))
    return re.sub(r"\btapem(\.\w+)*\.", "", text)


def default_text(default: Any, typed: bool) -> str:
    """The text of a default value: a function or a class by its name."""
    text = getattr(default, "__name__", None) or re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", repr(default))
    return f" = {text}" if typed else f"={text}"


def rules(op: Primitive) -> list[str]:
    """The rules of an op as rows of a table."""
    row = OpRules.of(op)
    modes = {"both modes": row.reverse} if row.elementwise else {"reverse": row.reverse, "forward": row.forward}
    table: list[tuple[str, str]] = []
    for mode, sources in modes.items():
        named = len(sources) == len(row.operands) and len(sources) > 1
        titles = [f"{mode}, `{operand}`" for operand in row.operands] if named else [mode] * len(sources)
        table += zip(titles, map(code, sources), strict=True)
    if not row.reverse:
        table.append(("derivative", "none: what comes out is constant"))
    table.append(("batch", row.batch if row.batch == BATCHED else code(row.batch)))
    if row.numpy:
        table.append(("NumPy", ", ".join(map(code, row.numpy))))
    lines = [f"| {title} | {text} |" for title, text in table]
    return ["", "| | |", "|:--|:--|", *lines, ""]


def code(text: str) -> str:
    """A text as code in a cell of a table."""
    return "`` " + text.replace("|", "\\|") + " ``"


def prose(text: str) -> list[str]:
    """A docstring as Markdown: its examples become blocks of code, everything else is Markdown already."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        if line.lstrip().startswith(">>>") and not inside:
            lines += ["", "```pycon"]
            inside = True
        elif inside and not line.strip():
            lines.append("```")
            inside = False
        lines.append(line if inside else escaped(line))
    return [*lines, "```"] if inside else lines


def escaped(line: str) -> str:
    """A line whose asterisks and underscores outside of code mean themselves."""
    parts = re.split(r"(`+[^`]*`+)", line)
    return "".join(part if index % 2 else re.sub(r"([*_\[\]<])", r"\\\1", part) for index, part in enumerate(parts))


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives."""
    app.add_directive("room", Room)
    app.add_directive("kinks", Kinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
