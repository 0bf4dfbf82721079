"""The course as a whole: its lines are one library, which passes a part of tapem's table; its exercises have solutions.

What the notebooks print is held by tests/docs/test_pages.py, which runs them; here these outputs are read.
"""

import re
from types import SimpleNamespace

import numpy as np
import pytest

import tapem as tm
from tests.docs.pages import CELLS, DOCS
from tests.test_table import TABLE

COURSE = DOCS / "course"
NOTEBOOKS = sorted(path.stem for path in COURSE.glob("[0-9][0-9]_*.md"))
CHECK = re.compile(r"^check\.(\w+)\(", re.MULTILINE)

# The ops of the learner's library, each with the static arguments that it has, and how many axes its operands may have.
OPS = {
    **dict.fromkeys("sin cos exp log tanh neg add sub mul div".split(), (set(), None)),
    "sum": ({"axis", "keepdims"}, None),
    "reshape": ({"shape"}, None),
    "transpose": ({"axes"}, None),
    "matmul": (set(), 2),
    "solve": (set(), 2),
}
NAMES = {"divide": "div", "negative": "neg", "subtract": "sub", "multiply": "mul"}


def cells(page):
    """The cells of a page of the course: options, code and what was printed."""
    text = (COURSE / f"{page}.md").read_text(encoding="utf-8")
    output = (DOCS / "outputs" / f"course.{page.replace('/', '.')}.txt").read_text(encoding="utf-8")
    printed = re.split(r"^-- cell \d+\n", output, flags=re.MULTILINE)[1:]
    return [(options, code, out) for (options, code), out in zip(CELLS.findall(text), printed, strict=True)]


def mini_source():
    """The lines of the learner's library, one cell behind the other."""
    return [
        (notebook, code)
        for notebook in NOTEBOOKS
        for options, code, _ in cells(notebook)
        if re.search(r"^:tags:.*\bmini\b", options, re.MULTILINE)
    ]


def library():
    """The learner's library as one module."""
    names = {"__name__": "mini_tapem"}
    exec(compile("\n\n".join(code for _, code in mini_source()), "mini_tapem.py", "exec"), names)
    return SimpleNamespace(**names)


def real(x):
    return isinstance(x, float) or getattr(x, "dtype", None) == np.float64


def rows():
    """The rows of tapem's table whose ops, operands and static arguments the learner's library has."""
    for module, row in TABLE:
        name = getattr(row.op, "name", "")
        name = NAMES.get(name, name)
        if name in OPS and row.reference is not None and all(map(real, row.operands)):
            static, rank = OPS[name]
            if row.static.keys() <= static and all(rank in (None, np.ndim(x)) for x in row.operands):
                yield pytest.param(name, row, id=f"{module}-{row}")


ROWS = list(rows())


def close(found, expected, tolerance=1e-6):
    return np.shape(found) == np.shape(expected) and np.allclose(found, expected, tolerance, tolerance)


def complaints(mini, name, row):
    """What is wrong with an op of the library on a row: NumPy judges values, differences judge derivatives."""
    random = np.random.default_rng(0)
    xs = [np.asarray(x) for x in row.operands]
    static = dict(row.static)
    value = row.reference(*xs, **static)
    weights = random.normal(size=np.shape(value))

    def f(*xs):  # the learner's op, on arrays or Tracers
        traced = any(isinstance(x, mini.Tracer) for x in xs)
        return mini.call(name, *xs, **static) if traced else mini.OPS[name].f(*xs, **static)

    def weighted(*xs):
        return np.sum(f(*xs) * weights)

    if not close(f(*xs), value, 1e-12):
        yield "value"
    # shapes: the signature allows the row, and says the shape of its value
    shape = mini.shape_of(name, *map(np.shape, xs))
    if shape is not None and shape != np.shape(value):
        yield "signature"
    program, _ = mini.compiled(f, *xs)
    if not close(program(*xs), value, 1e-12):
        yield "compiled"
    stacked = [np.stack([x, 1.25 * x, x]) for x in xs]
    if mini.OPS[name].batch is not None:
        expected = np.stack([f(*one) for one in zip(*stacked, strict=True)])
        if not close(mini.vmap(f)(*stacked), expected, 1e-12):
            yield "vmap"
        if len(xs) > 1:
            expected = np.stack([f(one, *xs[1:]) for one in stacked[0]])
            if not close(mini.vmap(lambda x: f(x, *xs[1:]))(stacked[0]), expected, 1e-12):
                yield "vmap of one operand"
    for position, x in enumerate(xs):

        def at(x, position=position):
            return weighted(*xs[:position], x, *xs[position + 1 :])

        def of(x, position=position):
            return f(*xs[:position], x, *xs[position + 1 :])

        slopes = tm.testing.finite_diff(at, x, method="extrapolated")
        if not close(mini.grad(at)(x), slopes):
            yield f"rule for operand {position}"
        v = random.normal(size=x.shape)
        out, tangent = mini.jvp(of, x, v)
        if not (close(out, value, 1e-12) and close(np.sum(tangent * weights), np.sum(slopes * v))):
            yield f"frule for operand {position}"
        bend = tm.testing.finite_diff_jacobian(lambda t, x=x, v=v, at=at: mini.grad(at)(x + t * v), 0.0)
        if not close(mini.jvp(mini.grad(at), x, v)[1], bend, 1e-5):
            yield f"second derivative by operand {position}"


def test_there_are_twelve_notebooks_each_with_solutions():
    assert len(NOTEBOOKS) == 12
    assert [path.stem for path in sorted((COURSE / "solutions").glob("[0-9]*.md"))] == NOTEBOOKS


def test_the_learners_library_is_short():
    lines = {}
    for notebook, code in mini_source():
        lines[notebook] = lines.get(notebook, 0) + sum(bool(line.strip()) for line in code.splitlines())
    assert max(lines.values()) <= 70, lines
    assert sum(lines.values()) < 500, lines


@pytest.fixture(scope="module")
def mini():
    return library()


def test_the_table_has_rows_for_every_op_of_the_library(mini):
    assert {row.values[0] for row in ROWS} == set(OPS) == set(mini.OPS)
    assert len(ROWS) > 100


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_the_learners_library_passes_rows_of_the_table(mini, name, row):
    assert list(complaints(mini, name, row)) == []


FAULTS = {
    "a rule": ("mul", "rrule", lambda op: op.rrule[::-1]),
    "an frule": ("matmul", "frule", lambda op: lambda ts, y, a, b: ts[0] @ b),
    "a batch rule": ("add", "batch", lambda op: lambda batched, a, b: a + b),
    "a signature": ("matmul", "signature", lambda op: "n k, k m -> m n"),
    "a value": ("log", "f", lambda op: np.log1p),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_library_is_found(fault):
    name, field, wrong = FAULTS[fault]
    mini = library()
    mini.OPS[name] = mini.OPS[name]._replace(**{field: wrong(mini.OPS[name])})

    def fails(row):
        try:
            return list(complaints(mini, name, row)) != []
        except (TypeError, ValueError):
            return True

    assert any(fails(row.values[1]) for row in ROWS if row.values[0] == name)


def test_the_transforms_of_the_library_compose(mini):
    random = np.random.default_rng(0)
    w, data = random.normal(size=(3, 2)), random.normal(size=(5, 1, 3))

    def loss(w, x):
        y = np.tanh(x @ w)
        return np.sum(y * y * y)

    each = [tm.testing.finite_diff(lambda w, x=x: loss(w, x), w, method="extrapolated") for x in data]
    assert close(mini.vmap(lambda x: mini.grad(loss)(w, x))(data), np.stack(each))
    total = mini.grad(lambda w: np.sum(mini.vmap(lambda x: loss(w, x))(data)))
    assert close(total(w), np.sum(each, axis=0))
    program, text = mini.compiled(total, w)
    assert close(program(2 * w), total(2 * w), 1e-12) and "Tracer" not in text
    assert close(mini.grad(lambda x: x * mini.grad(lambda y: x + y)(1.0))(1.0), 1.0)


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_each_exercise_has_a_starter_a_hint_and_a_solution(notebook):
    starters = [(name, printed) for _, code, printed in cells(notebook) for name in CHECK.findall(code)]
    solutions = [(name, printed) for _, code, printed in cells(f"solutions/{notebook}") for name in CHECK.findall(code)]
    assert 3 <= len(starters) <= 5
    assert list(dict.fromkeys(name for name, _ in solutions)) == [name for name, _ in starters]
    for name, printed in starters:
        assert printed.startswith("not yet: "), name
        assert "raised" not in printed, name
    for name, printed in solutions:
        assert "right: " in printed and "not yet" not in printed, name
    text = (COURSE / f"{notebook}.md").read_text(encoding="utf-8")
    exercises = text[text.index("## Exercises") :]
    assert exercises.count("```{admonition} Hint") == len(starters) == len(re.findall(r"^### \d", exercises, re.M))
    assert f"(solutions/{notebook}.md)" in exercises


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_each_notebook_shows_tapems_own_source(notebook):
    text = (COURSE / f"{notebook}.md").read_text(encoding="utf-8")
    assert "## In tapem" in text and "```{literalinclude} ../../tapem/" in text


def test_each_misconception_has_a_cell_that_shows_it():
    text = (COURSE / "teacher.md").read_text(encoding="utf-8")
    sections = re.split(r"^### \d+\. ", text[text.index("## Misconceptions") :], flags=re.MULTILINE)[1:]
    assert len(sections) >= 7
    for section in sections:
        assert CELLS.search(section), section
