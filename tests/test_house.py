"""The house: which folder may import which, told once and held against every import there is."""

import ast
import functools
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

# A folder may import those that its line names, and whatever they may import.
HOUSE = """\
display     <-  nothing
errors      <-  display
types       <-  errors
tangents    <-  types
core        <-  tangents
sweeps      <-  core
doors       <-  sweeps
ops         <-  doors
xp          <-  ops
random      <-  ops
transforms  <-  ops
compiler    <-  transforms
model       <-  transforms
optim       <-  ops
seeing      <-  compiler, training
testing     <-  transforms
training    <-  model, optim, random, compiler
bridges     <-  compiler
layers      <-  tapem
losses      <-  tapem
examples    <-  layers, losses
"""

LOOSE = {"__init__.py", "__main__.py", "errors.py", "random.py", "py.typed"}
# What layers and losses are made with is what users have.
PUBLIC = {"tapem", "tapem.random", "tapem.model", "tapem.optim", "tapem.testing", "tapem.display"}
# A Ref builds steps, a step gives a tape, and a tape gives Refs: their types know each other, and nothing else does.
MUTUAL = {"tapem.doors.pure.ref", "tapem.doors.pure.tape", "tapem.doors.monadic.step"}


class Arrow(NamedTuple):
    """One import: who, whom, where, whether for the type checker only, and whether inside a function."""

    source: str
    target: str
    line: int
    typing_only: bool
    inside: bool

    def __str__(self) -> str:
        return f"{path_of(self.source).relative_to(ROOT)}, line {self.line}: {self.source} imports {self.target}"


def path_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def modules() -> dict[str, Path]:
    found = {}
    for package in ("tapem", "layers", "losses", "examples"):
        for path in sorted((ROOT / package).rglob("*.py")):
            found[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = path
    return found


def arrows() -> list[Arrow]:
    """Every import of one of our modules by another."""
    known = modules()
    found: list[Arrow] = []
    for module, path in known.items():
        tree = ast.parse(path.read_text())
        checks = [
            node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        ]
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        typing_only = {id(node) for check in checks for node in ast.walk(check)}
        inside = {id(node) for function in functions for node in ast.walk(function)}
        for node in ast.walk(tree):
            for target in targets(node, known):
                if target.split(".")[0] in ("tapem", "layers", "losses") and target != module:
                    found.append(Arrow(module, target, node.lineno, id(node) in typing_only, id(node) in inside))
    return found


def targets(node: ast.AST, known: dict[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0 and node.module is not None, "imports are absolute"
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            yield whole if whole in known and alias.name not in handed_on(node.module) else node.module


@functools.cache
def handed_on(package: str) -> frozenset[str]:
    """The names that a package's face hands on; one of them may be called as the file is that it comes from."""
    imports = [node for node in ast.walk(ast.parse(path_of(package).read_text())) if isinstance(node, ast.ImportFrom)]
    return frozenset(alias.name for node in imports for alias in node.names if node.module != package)


def folder(module: str) -> str:
    """The room of the house that a module belongs to: tapem's folders one by one, the other packages whole."""
    first, *rest = module.split(".")
    return rest[0] if first == "tapem" and rest and rest != ["__main__"] else first


def allowed() -> dict[str, set[str]]:
    lines = [re.split(r"\s*<-\s*", line) for line in HOUSE.splitlines()]
    direct = {name: set(names.split(", ")) - {"nothing"} for name, names in lines}
    direct["tapem"] = set(direct) - {"layers", "losses", "examples"}

    def below(name: str) -> set[str]:
        return direct[name].union(*(below(lower) for lower in direct[name]))

    return {name: below(name) for name in direct}


ARROWS = arrows()


def test_arrows_run_one_way():
    """No folder imports one that stands above it."""
    table = allowed()
    wrong = [
        a for a in ARROWS if folder(a.source) != folder(a.target) and folder(a.target) not in table[folder(a.source)]
    ]
    assert not wrong, "\n".join(map(str, wrong))


def test_every_line_of_the_table_is_needed():
    """A folder that the table does not name, or one that is gone, is told."""
    there = {folder(module) for module in modules()} - {"tapem"}
    assert there == set(allowed()) - {"tapem"}


def test_folders_meet_at_their_faces():
    """What a folder of tapem offers stands in its `__init__`; all else is private to it."""
    wrong = [
        a
        for a in ARROWS
        if folder(a.source) != folder(a.target) and path_of(a.target).name != "__init__.py" and a.target.count(".") > 1
    ]
    assert not wrong, "\n".join(map(str, wrong))


def test_layers_and_losses_use_public_names_only():
    wrong = [
        a
        for a in ARROWS
        if a.source.split(".")[0] in ("layers", "losses", "examples")
        and a.target.startswith("tapem")
        and a.target not in PUBLIC
    ]
    assert not wrong, "\n".join(map(str, wrong))


def test_functions_import_nothing_of_ours():
    """An import inside a function would hide an arrow."""
    wrong = [a for a in ARROWS if a.inside]
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("typing_only", [False, True], ids=["at run time", "for the type checker"])
def test_no_circle(typing_only: bool):
    """Files do not import each other in a circle; but the types of three know each other."""
    graph: dict[str, set[str]] = defaultdict(set)
    for arrow in ARROWS:
        if typing_only or not arrow.typing_only:
            graph[arrow.source].add(arrow.target)
    circles = [circle for circle in strongly_connected(graph) if len(circle) > 1]
    expected = [MUTUAL] if typing_only else []
    inside = [str(a) for circle in circles for a in ARROWS if {a.source, a.target} <= circle]
    assert circles == expected, "\n".join(inside)


def strongly_connected(graph: dict[str, set[str]]) -> list[set[str]]:
    """The modules that reach each other, by Tarjan's algorithm."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(module: str) -> None:
        order[module] = low[module] = len(order)
        stack.append(module)
        for other in graph.get(module, ()):
            if other not in order:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], order[other])
        if low[module] == order[module]:
            start = stack.index(module)
            found.append(set(stack[start:]))
            del stack[start:]

    for module in list(graph):
        if module not in order:
            visit(module)
    return found


def test_few_files_stand_loose():
    """The listing of tapem/ is its explanation: folders, and hardly a file."""
    loose = {path.name for path in (ROOT / "tapem").iterdir() if path.is_file()}
    assert loose <= LOOSE


def test_no_module_hides_a_public_function():
    """`tm.fit` is a function, so there is no `tapem/fit.py`."""
    import tapem

    names = {path.stem for path in (ROOT / "tapem").iterdir() if path.name != "__pycache__"} - {"__init__"}
    functions = {name for name in names if callable(getattr(tapem, name, None))}
    assert functions == set()


@pytest.mark.parametrize("document", ["docs/inside/house.md", "CONTRIBUTING.md"])
def test_documents_show_the_table(document: str):
    assert HOUSE in (ROOT / document).read_text()


def test_pyrights_settings_stand_in_pyproject():
    """They hold for a folder; no file has its own, and the folders that are wholly strict are there."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]
    assert all(list(ROOT.glob(pattern)) for pattern in settings["strict"]), settings["strict"]
    own = [path for path in modules().values() if re.search(r"^# pyright:", path.read_text(), re.MULTILINE)]
    assert own == []
