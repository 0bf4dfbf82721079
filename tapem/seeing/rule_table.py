"""All of calculus on one page: every op with its rules, as its declaration has them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

from tapem import ops
from tapem.core import SCIPY, Primitive, is_several, name_of
from tapem.ops import batch_elementwise
from tapem.sweeps import partials_of, source_of, sources_of

BATCHED = "operands lined up behind the batch axis"
"""What the table says of the batch rule of elementwise ops."""


class OpRules(NamedTuple):
    """One op of the table: its typed signature, the source of its rules, its kinks, and NumPy's names for it.

    `reverse` and `forward` have one entry per operand, or a single one for all of them together.

    >>> import tapem as tm
    >>> next(row for row in tm.rule_table() if row.name == "tanh").reverse
    ('g * (1 - y * y)',)
    """

    name: str
    operands: tuple[str, ...]
    signature: str
    elementwise: bool
    reverse: tuple[str, ...]
    forward: tuple[str, ...]
    batch: str
    kinks: str
    numpy: tuple[str, ...]

    @classmethod
    def of(cls, op: Primitive) -> OpRules:
        """The rules of one op."""
        signature = op.signature
        return cls(
            op.name,
            tuple("*" * operand.variadic + operand.name for operand in signature.operands),
            repr(signature),
            _is_elementwise(op),
            sources_of(op.rrule, "g") if op.differentiable else (),
            sources_of(op.frule, "g" if _is_elementwise(op) else "t") if op.differentiable else (),
            BATCHED if op.batch is batch_elementwise else source_of(op.batch),
            _kinks(op),
            tuple(dict.fromkeys(name_of(function) for function in op.numpy)),
        )

    @property
    def usage(self) -> str:
        """The op and the names of its operands: `mul(a, b)`."""
        return f"{self.name}({', '.join(self.operands)})"

    def line(self, width: int) -> str:
        """The line of an elementwise op: the rules of its operands one after the other."""
        return f"  {self.usage:{width}}  {'   |   '.join(self.reverse)}".rstrip()

    def block(self) -> str:
        """Any other op, a line for each thing that there is to say."""
        return self._block(
            [*self._rows("reverse", self.reverse), *self._rows("forward", self.forward), ("batch", self.batch)]
        )

    def remarks(self) -> str:
        """What `line` does not say of an elementwise op."""
        return self._block([])

    def _block(self, rows: list[tuple[str, str]]) -> str:
        rows += [("kinks", self.kinks)] if self.kinks else []
        rows += [("NumPy", ", ".join(self.numpy))] if self.numpy else []
        width = max((len(title) for title, _ in rows), default=0)
        return "\n".join(
            [_filled("  ", self.signature), *(_filled(f"    {title:{width}}  ", text) for title, text in rows)]
        )

    def _rows(self, mode: str, sources: tuple[str, ...]) -> list[tuple[str, str]]:
        if len(sources) != len(self.operands) or len(sources) == 1:
            return [(mode, source) for source in sources]
        return [(f"{mode} {name}", source) for name, source in zip(self.operands, sources, strict=True)]


class RuleTable(tuple[OpRules, ...]):
    """The rules of many ops, whose `str` is the table.

    >>> import tapem as tm
    >>> print(str(tm.rule_table()).splitlines()[0])
    Elementwise ops. The partial derivative of y = op(x) times g, a cotangent or a tangent: one rule for both modes.
    """

    __slots__ = ()

    @property
    def elementwise(self) -> str:
        """The part of the table that fits on one screen: the differentiable elementwise ops, one line each."""
        rows = self._elementwise()
        width = max((len(row.usage) for row in rows), default=0)
        return "\n".join(row.line(width) for row in rows)

    def _elementwise(self) -> list[OpRules]:
        return [row for row in self if row.elementwise and row.reverse]

    def __str__(self) -> str:
        elementwise, constant = self._elementwise(), [row.usage for row in self if not row.reverse]
        others = [row.block() for row in self if row.reverse and not row.elementwise]
        parts = {
            "Elementwise ops. The partial derivative of y = op(x) times g, a cotangent or a tangent: one rule for both "
            "modes.": self.elementwise,
            "Other ops. g is the cotangent of y, t the tangent of an operand.": "\n\n".join(others),
            "More of the elementwise ops, whose batch rule is one: operands are lined up behind the batch "
            "axis.": "\n\n".join(row.remarks() for row in elementwise),
            "Ops without a derivative: what comes out is constant.": textwrap.fill(
                ", ".join(constant), 116, initial_indent="  ", subsequent_indent="  "
            ),
        }
        return "\n\n".join(f"{title}\n\n{part}" for title, part in parts.items() if part)


def rule_table(*packages: ModuleType) -> RuleTable:
    """The table of the rules of tapem's ops, or of other packages' ops, made from the declarations' own source.

    >>> import tapem as tm
    >>> [row.reverse for row in tm.rule_table() if row.name in ("exp", "mul")]
    [('g * b', 'g * a'), ('g * y',)]
    """
    return RuleTable(map(OpRules.of, ops_of(*(packages or (ops,)))))


def ops_of(*packages: ModuleType) -> Iterator[Primitive]:
    """Yield every op that the modules of some packages declare, once, in the order of the files.

    Those of SciPy's ufuncs wait until SciPy is used; their package, `tapem.ops.scipy`, is asked for by itself.
    """
    seen: set[int] = set()
    for package in packages:
        names = [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
        late = SCIPY if not package.__name__.startswith(SCIPY) else " "
        for module in map(importlib.import_module, [*(n for n in names if not n.startswith(late)), package.__name__]):
            for value in vars(module).values():
                if isinstance(value, Primitive) and id(value) not in seen:
                    seen.add(id(value))
                    yield value


def _is_elementwise(op: Primitive) -> bool:
    """Whether one rule per operand serves both modes, and batches are lined up."""
    alike = op.rrule == op.frule if is_several(op.rrule) else bool(partials_of(op.rrule))
    return alike and (op.elementwise or op.batch is batch_elementwise)


def _kinks(op: Primitive) -> str:
    """The docstring's paragraph about kinks, in one line."""
    found = re.search(r"\bKinks?: (.*?)(?=\s+Raises\b|\n\n|\n>>>|\Z)", inspect.getdoc(op) or "", re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def _filled(start: str, text: str) -> str:
    return textwrap.fill(
        text, 120, initial_indent=start, subsequent_indent=" " * (len(start) + 2), break_long_words=False
    )
