"""A recorded program, run again in a higher precision: float64 beside float32, `np.longdouble` beside float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapem.core import Node, tree_map
from tapem.errors import TapeError
from tapem.testing.flattening import first_line
from tapem.types import is_inexact


def longer(precision: np.dtype[Any]) -> np.dtype[Any] | None:
    """The dtype to replay this one in; None if the machine has none that is longer."""
    exact = np.dtype(np.longdouble if precision == np.float64 else np.float64)
    return exact if np.finfo(exact).eps < np.finfo(precision).eps else None


def replayed(
    nodes: Sequence[Node], exact: np.dtype[Any], precision: np.dtype[Any], skipped: dict[str, str]
) -> list[Node]:
    """The same nodes with values that are computed in the higher precision; `skipped` learns what could not be."""

    def up(value: Any) -> Any:
        return tree_map(lambda part: raised(part, exact), value)

    better: list[Node] = []
    for node in nodes:
        op: Any = node.op
        given = zip(node.parents, node.inputs, strict=True)
        inputs = tuple(up(value) if parent is None else better[parent].output for parent, value in given)
        # An input may be a Python number, with which the replay would stay in the lower precision.
        found = node.output if node.parents or node.output is None else np.asarray(node.output)[()]
        output, residuals = up(found), up(node.residuals)
        if node.parents and op.differentiable:
            static = {key: exact if is_dtype(value, precision) else value for key, value in node.static.items()}
            try:
                output = op.implementation(*inputs, **static)
            except (TapeError, TypeError, ValueError) as error:
                skipped[op.name] = first_line(error)
            else:
                if op.residuals:
                    output, residuals = output
        better.append(node._replace(inputs=inputs, output=output, residuals=residuals))
    return better


def raised(value: Any, exact: np.dtype[Any]) -> Any:
    """A value in the higher precision; integers, decisions and Python numbers stay."""
    if type(value) in (int, float, bool, complex) or not hasattr(value, "dtype") or not is_inexact(value.dtype):
        return value
    return np.asarray(value).astype(np.result_type(value.dtype, exact))[()]


def is_dtype(value: Any, precision: np.dtype[Any]) -> bool:
    """Whether a static argument names the lower precision."""
    return isinstance(value, np.dtype | type) and (value == precision or value is precision.type)


__all__ = ["longer", "replayed"]
