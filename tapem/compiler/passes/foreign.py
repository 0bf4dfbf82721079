"""Foreign ops: engines and passes know ops by their names, so a user's op of the same name must have another one."""

from __future__ import annotations

import sys
from typing import Any

from tapem.core import Primitive, Static, replaced
from tapem.transforms import Kept, Program, Pulled

_OURS = ("tapem", "layers", "losses")


def foreign(program: Program) -> Program:
    """Rename the users' ops that are named as ops of ours are, such as a `relu` that computes something else."""
    ops = {id(op): op for node in program.nodes if (op := op_in(node.op, node.static)) is not None}
    others = [op for op in ops.values() if not is_ours(op)]
    names = names_of_ours() if others else frozenset[str]()
    renamed = {id(op): replaced(op, name=f"users_{op.name}") for op in others if op.name in names}
    if not renamed:
        return program
    nodes = list(program.nodes)
    for node in program.nodes:
        op: Any = node.op
        what = node.static.get("what")
        if isinstance(what, Kept | Pulled):
            changed: Any = what._replace(op=renamed.get(id(what.op), what.op))
            nodes[node.id] = node._replace(static=Static({**node.static, "what": changed}))
        else:
            nodes[node.id] = node._replace(op=renamed.get(id(op), op))
    return Program(nodes, program.inputs, program.outputs, program.__name__)


def op_in(op: Any, static: Static) -> Primitive | None:
    """The op of a node, or that of which the node is a part."""
    what = static.get("what")
    found = what.op if isinstance(what, Kept | Pulled) else op
    return found if isinstance(found, Primitive) else None


def is_ours(op: Primitive) -> bool:
    """Whether an op is one of the library's."""
    return str(op.__module__).split(".")[0] in _OURS


def names_of_ours() -> frozenset[str]:
    """The names of all ops of the library that are there so far."""
    modules = [module for name, module in [*sys.modules.items()] if name.split(".")[0] in _OURS]
    values = [value for module in modules for value in [*vars(module).values()]]
    return frozenset(value.name for value in values if isinstance(value, Primitive) and is_ours(value))


__all__ = ["foreign"]
