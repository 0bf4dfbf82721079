"""foreign: an op of a user is what the user wrote, also if an op of the library has its name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

import layers as layers
import losses as losses
import tapem as tm
from tapem.compiler.passes.foreign import names_of_ours

T = Float[tm.Tensor, "*shape"]
NAMES = sorted(names_of_ours())


def named(name: str, residuals: bool, opaque: bool) -> Any:
    """An op of this name that computes what no op of the library does."""

    def implementation(x: T) -> T:
        y = 3 * x + 1
        return (y, (x,)) if residuals else y

    def pull(g: Any, y: Any, *rest: Any) -> Any:
        return 3 * g + 0 * (rest[0][0] if residuals else y)

    return tm.primitive(rrule=(pull,), residuals=residuals, opaque=opaque, name=name)(implementation)


@pytest.mark.parametrize("engine", ["numpy", "numba"])
@pytest.mark.parametrize(("residuals", "opaque"), [(False, False), (True, False), (True, True)])
def test_a_users_op_of_any_name_is_itself(engine: str, residuals: bool, opaque: bool) -> None:
    x = np.array([[-1.0, 2.0], [0.5, -0.25]])
    assert len(NAMES) > 250
    wrong = []
    for name in NAMES if engine == "numpy" and not opaque else NAMES[::20]:
        op = named(name, residuals, opaque)
        compiled = tm.compile(tm.value_and_grad(lambda x, op=op: np.sum(op(x) * x)), engine=engine)
        value, gradient = compiled(x)
        if not (np.allclose(value, np.sum((3 * x + 1) * x)) and np.allclose(gradient, 6 * x + 1)):
            wrong.append(name)
    assert not wrong


def test_its_errors_and_its_source_show_it() -> None:
    @tm.primitive(rrule=(lambda g, y, x: g,))
    def relu(x: T) -> T:
        return np.reshape(x, 3) + 1

    compiled = tm.compile(lambda x: relu(x), engine="numpy")
    assert compiled(np.zeros(3)).tolist() == [1, 1, 1]
    with pytest.raises(tm.TapeError, match=r"^relu\(x\)"):
        compiled(np.zeros(4))
    assert "users_relu = np.reshape(x, 3) + 1" in compiled.source(np.zeros(3))
