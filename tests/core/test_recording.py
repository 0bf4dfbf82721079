"""Recording: every door makes the same node of an op and its operands, by the one function that does so."""

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.core import Node

ROOT = Path(tm.__file__).parent


def on_a_tape(op: Any, a: Any, b: Any) -> Node:
    x, tape = tm.Tape().leaf(a)
    y, tape = tape.record(op, x, b)
    return tape[y]


def in_a_program(op: Any, a: Any, b: Any) -> Node:
    ref: tm.Ref = tm.leaf(a).bind(lambda x: op(x, b)).run()[0]
    return ref.node


def under_a_transform(op: Any, a: Any, b: Any) -> Node:
    kept: list[Node] = []

    def f(x: Any) -> Any:
        y: Any = op(x, b)
        kept.append(y.node)
        return tm.sum(y)

    tm.grad(f)(a)
    return kept[0]


DOORS = [on_a_tape, in_a_program, under_a_transform]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("b", [2.0, 3, np.array([5.0, 7.0])], ids=["float", "int", "array"])
def test_doors_record_the_same_node(door: Any, b: Any):
    a = np.array([2.0, 3.0])
    node = door(tm.mul, a, b)
    assert (node.op, node.parents, node.static, node.requires_grad, node.residuals) == (
        tm.mul,
        (0, None),
        {},
        True,
        None,
    )
    np.testing.assert_array_equal(node.inputs[0], a)
    np.testing.assert_array_equal(node.inputs[1], b)
    assert type(node.inputs[1]) is type(b)
    assert node.inputs[1] is not b or type(b) is not np.ndarray, "a tape keeps its own copy"
    np.testing.assert_array_equal(node.output, a * b)


@pytest.mark.parametrize("door", DOORS[:2])
def test_ops_that_are_not_differentiable_require_no_gradient(door: Any):
    assert not door(tm.greater, np.array([2.0, 3.0]), 2.5).requires_grad


def test_one_function_makes_nodes_of_ops():
    """All other nodes are leaves, or nodes of programs without values: only `recorded` has an op evaluated."""
    makers: set[str] = set()
    for path in ROOT.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                calls = [call for call in ast.walk(function) if isinstance(call, ast.Call)]
                if any(isinstance(call.func, ast.Name) and call.func.id == "new_node" for call in calls):
                    makers.add(function.name)
    assert makers == {"recorded", "leaf_node", "input_node", "of", "input_of", "put", "constant", "body", "leaf"}
