"""Drawing random programs: statement by statement, each tried on numbers at once, so that every program is defined.

A statement is kept if the judge's form of it runs at every point and gives few, finite and moderate numbers. What is
drawn depends on the seed alone.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any

import numpy as np

from . import vocabulary
from .judging import Doubtful, Plain, judge_of
from .language import Function, Program, Statement, used
from .running import Namespace
from .tools import TOOLS
from .vocabulary import FAMILIES, FLOATS, LITERALS, PARTS, PLAIN, POWER, ROWS, TERMS, WEIGHTS, arity, takes_function

LARGEST, MOST = 20.0, 16
LINES = re.compile(r"axis=-?\d|\.reduce|np.pad|np.diff|softmax")
"""tapem has no axis 0 or -1 of a number, which NumPy lets pass."""
REFUSALS = (Doubtful, ValueError, IndexError, TypeError, AttributeError, np.linalg.LinAlgError)

BY_ROWS = ROWS | {vocabulary.EACH_LAST}
Values = dict[str, Any]


def program(seed: object, length: int = 7, families: tuple[str, ...] = tuple(FAMILIES)) -> Program:
    """The program of a seed."""
    random = Random(f"program {seed}")
    while True:
        drawn = Drawing(random, families).program(random.randint(1, length))._replace(seed=seed)
        try:
            judge_of(drawn).insist()
        except Doubtful:
            continue
        return drawn


class Drawing:
    """One program as it is drawn."""

    def __init__(self, random: Random, families: tuple[str, ...]) -> None:
        """At three points that are drawn, too."""
        self.random = random
        self.families = families
        self.count = 0
        self.judge = Namespace({"np": np, "judge": Plain(), **TOOLS}, PLAIN)
        self.points = tuple(tuple(round(random.uniform(-1.5, 1.5), 5) for _ in range(4)) for _ in range(3))

    def program(self, length: int) -> Program:
        """A program of about this many statements."""
        values = [{"x": np.array(point)} for point in self.points]
        with np.errstate(all="ignore"):
            statements = self.statements(values, length, 2, "")
            idle = set(values[0]) - {name for statement in statements for name in used(statement)}
            names = list(values[0])
            drawn = [(name, PARTS) for name in sorted(idle | {self.random.choice(names)})]
            # A value that goes into many sums, in linear terms and others: cotangents of mixed kinds meet at it.
            drawn += [(self.random.choice([*names[-2:], "x"]), TERMS)] * self.random.choice([0, 3, 5])
            self.random.shuffle(drawn)
            parts = []
            for name, texts in drawn:
                statement = self.tried(self.random.choice(texts), (name,), values)
                if statement is not None and np.shape(values[0][statement.target]) == ():
                    parts.append(statement)
        if not parts:
            return self.program(length)
        parts = parts[:12]
        return Program(self.points, (*statements, *parts), tuple(part.target for part in parts))

    def statements(self, values: list[Values], length: int, nest: int, forbidden: str) -> tuple[Statement, ...]:
        """Statements that can be computed from the values, to which theirs are added."""
        found: list[Statement] = []
        for _ in range(length * 8):
            statement = self.statement(values, nest, forbidden)
            if statement is not None:
                found.append(statement)
            if len(found) == length:
                break
        return tuple(found)

    def statement(self, values: list[Values], nest: int, forbidden: str) -> Statement | None:
        """A statement that can be computed from the values, to which its own is added; None if it cannot."""
        kind = self.random.choices(self.families, [WEIGHTS[name] for name in self.families])[0]
        text = self.random.choice(FAMILIES[kind])
        operands = tuple(self.operand(values[0], text) for _ in range(arity(text)))
        if not any(operand in values[0] for operand in operands):
            return None
        if text == POWER and operands[1] in values[0]:  # of negative bases, only constant powers have derivatives
            return None
        if text in FLOATS and np.asarray(values[0].get(operands[0], 0)).dtype.kind != "f":
            return None
        if not takes_function(text):
            return self.tried(text, operands, values)
        if nest == 0 or text == forbidden:
            return None
        # A thread knows nothing of the block without gradients that it was started in.
        forbidden = vocabulary.THREAD if text in (vocabulary.SILENT, vocabulary.SILENT_THUNK) else forbidden
        function = self.function(text, operands, values, nest - 1, forbidden)
        return None if function is None else self.tried(text, operands, values, function)

    def operand(self, values: Values, text: str) -> str:
        """The name of a value, the latest and the input more often than others; or a literal."""
        if arity(text) > 1 and self.random.random() < 0.25:
            return self.random.choice(LITERALS)
        names = list(values)
        return self.random.choice([*names, *names[-2:], "x"])

    def function(
        self, text: str, operands: tuple[str, ...], values: list[Values], nest: int, forbidden: str
    ) -> Function | None:
        """A function of one value, drawn on the values that it will be given."""
        name = self.fresh("z")
        inside: list[Values] = []
        for known in values:
            z = known[operands[0]] if operands[0] in known else None
            if z is None or (text in BY_ROWS and not np.ndim(z)):
                return None
            rows = z if text in ROWS else np.moveaxis(z, -1, 0) if text == vocabulary.EACH_LAST else [z]
            inside += [{**known, name: row} for row in rows]
        if not inside:
            return None
        statements = self.statements(inside, self.random.randint(1, 3), nest, forbidden)
        if not statements or (text in FLOATS and np.asarray(inside[0][statements[-1].target]).dtype.kind != "f"):
            return None
        return Function(name, statements, statements[-1].target)

    def tried(
        self, text: str, operands: tuple[str, ...], values: list[Values], function: Function | None = None
    ) -> Statement | None:
        """The statement, if it can be computed from all values; its own are added to them."""
        if LINES.search(text) and any(name in values[0] and np.ndim(values[0][name]) == 0 for name in operands):
            return None
        statement = Statement(self.fresh("v"), text, operands, function)
        results: list[Any] = []
        try:
            for known in values:
                self.judge.names["judge"].__init__()
                results.append(self.judge.call(statement, known))
        except REFUSALS:
            return None
        if not all(map(moderate, results)) or len({np.shape(result) for result in results}) != 1:
            return None
        for known, result in zip(values, results, strict=True):
            known[statement.target] = result
        return statement

    def fresh(self, letter: str) -> str:
        """A name that was not used."""
        self.count += 1
        return f"{letter}{self.count}"


def moderate(value: Any) -> bool:
    """Whether a value is an array of few, finite and moderate numbers."""
    value = np.asarray(value)
    if value.dtype.kind not in "fiub" or value.size > MOST:
        return False
    return bool(value.dtype.kind == "b" or (np.all(np.isfinite(value)) and np.max(np.abs(value), initial=0) <= LARGEST))
