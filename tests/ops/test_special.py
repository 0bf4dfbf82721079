"""SciPy's ufuncs: values are SciPy's own, differences judge derivatives, and nobody else imports SciPy."""

import itertools
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special as sp

import tapem as tm
from tapem.core.names import UFUNCS
from tapem.ops.scipy import special
from tests.tables.special import ARGUMENTS, CONSTANT, POSITIVE

OURS = sorted(ufunc.__name__ for ufunc in UFUNCS if getattr(sp, ufunc.__name__, None) is ufunc and ufunc.nout == 1)
OURS = [name for name in OURS if getattr(np, name, None) is not getattr(sp, name)]


def cases() -> list[Any]:
    """Every ufunc with each of the arguments that it can be differentiated in."""
    return [
        pytest.param(name, position, id=f"{name}-{position}")
        for name, arguments in ARGUMENTS.items()
        for position in range(len(arguments))
        if position not in CONSTANT.get(name, ())
    ]


def at(name: str, position: int) -> tuple[Callable[[Any], Any], Any]:
    """The ufunc as a function of one of its arguments, and the point."""
    function, arguments = getattr(sp, name), ARGUMENTS[name]

    def of_one(x: Any) -> Any:
        return function(*arguments[:position], x, *arguments[position + 1 :])

    return of_one, arguments[position]


def difference(f: Callable[[Any], Any], x: Any) -> Any:
    """The slope of an elementwise function, by central differences of three steps extrapolated twice."""
    rows = [(f(x + h) - f(x - h)) / (2 * h) for h in (4e-3, 2e-3, 1e-3)]
    first = [(4 * b - a) / 3 for a, b in itertools.pairwise(rows)]
    return (16 * first[1] - first[0]) / 15


def test_every_op_has_its_arguments() -> None:
    assert set(OURS) == set(ARGUMENTS)


@pytest.mark.parametrize(("name", "position"), cases())
def test_values_and_derivatives(name: str, position: int) -> None:
    f, x = at(name, position)
    y, slope = tm.jvp(f, (x,), (np.ones_like(x),))
    np.testing.assert_array_equal(y, f(x))
    with np.errstate(all="ignore"):
        expected = difference(f, x)
    np.testing.assert_allclose(slope, expected, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(tm.grad(lambda x: np.sum(f(x)))(x), slope, rtol=1e-14)
    mapped = tm.vmap(tm.grad(getattr(sp, name), argnums=position))(*ARGUMENTS[name])
    np.testing.assert_allclose(mapped, slope, rtol=1e-14)


@pytest.mark.parametrize(("name", "position"), cases())
def test_second_derivatives(name: str, position: int) -> None:
    f, x = at(name, position)
    ones = np.ones_like(x)
    _, curvature = tm.jvp(lambda x: tm.jvp(f, (x,), (ones,))[1], (x,), (ones,))
    np.testing.assert_allclose(curvature, difference(lambda x: tm.jvp(f, (x,), (ones,))[1], x), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(("name", "positions"), CONSTANT.items())
def test_parameters_without_a_derivative_are_refused(name: str, positions: tuple[int, ...]) -> None:
    arguments = [np.asarray(x, float) for x in ARGUMENTS[name]]
    for position in positions:
        with pytest.raises(tm.NoRuleError, match=rf"{name}\(.*cannot be differentiated with respect to argument"):
            tm.grad(lambda *xs: np.sum(getattr(sp, name)(*xs)), argnums=position)(*arguments)


def test_at_the_ends() -> None:
    """Where a closed form is 0 times infinity, the limit."""
    assert tm.grad(lambda b: sp.xlogy(0.0, b))(0.0) == 0.0
    assert tm.grad(lambda b: sp.rel_entr(0.0, b))(2.0) == 0.0
    assert tm.grad(sp.exprel)(0.0) == 0.5
    np.testing.assert_allclose([tm.grad(sp.rgamma)(-float(n)) for n in range(4)], [1.0, -1.0, 2.0, -6.0], rtol=1e-14)
    assert tm.grad(sp.j1)(0.0) == 0.5 and tm.grad(sp.i1)(0.0) == 0.5
    assert tm.grad(sp.spence)(1.0) == -1.0


def test_polygamma_is_the_derivative_of_psi() -> None:
    for n in range(3):
        np.testing.assert_allclose(
            special.polygamma(POSITIVE, n=n + 1), difference(lambda x, n=n: sp.polygamma(n, x), POSITIVE)
        )


def test_scipy_is_imported_by_nobody_else() -> None:
    """Who does not use SciPy does not pay for it."""
    code = "import sys, numpy as np, tapem as tm; tm.grad(np.sin)(1.0); assert 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
