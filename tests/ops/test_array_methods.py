"""Every method of NumPy's arrays with every option in its signature, which NumPy is asked for: value and derivative."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.errors import ConcretizationError, MutationError, TapeError
from tests.ops.judged import judge_value_and_gradient, judge_vmap

X = np.random.default_rng(0).uniform(0.2, 0.9, (3, 4))
MASK = X > 0.4
SQUARE = X[:, :3]
NUMBERS = np.array([[0, 2, 1], [1, 0, 2]])

# What is given for the arguments that a method must have, and values of each option: by method, or for all of them.
REQUIRED: dict[str, list[tuple[Any, ...]]] = {
    "argpartition": [(1,)], "astype": [(np.float32,), ("d",), (int,), (complex,)], "choose": [([X, 2 * X, 3 * X],)],
    "clip": [(), (0.4,), (0.4, 0.7), (None, 0.7)], "compress": [([True, False, True],)], "dot": [(X.T,), (2.0,)],
    "repeat": [(2,)], "reshape": [(2, 6), ((6, 2),), (-1,), ()], "searchsorted": [(0.5,), ([0.3, 0.6],)],
    "swapaxes": [(0, 1), (-1, 0)], "take": [([0, 2],), (1,)], "to_device": [("cpu",)],
    "transpose": [(), (1, 0), ((1, 0),), (None,)],
}  # fmt: skip
OPTIONS: dict[str, list[Any]] = {
    "axis": [None, 0, 1, -1], "keepdims": [True, False], "dtype": [None, np.float32, "d"], "order": ["C", "F", "A"],
    "where": [True, MASK, MASK[0]], "initial": [0.5], "ddof": [0, 1], "correction": [0, 1],
    "mean": [X.mean()], "min": [None, 0.4], "max": [None, 0.7], "mode": ["raise", "wrap", "clip"],
    "kind": [None, "stable", "heapsort"], "stable": [None, True], "copy": [True, None], "subok": [True, False],
    "casting": ["unsafe", "same_kind"], "decimals": [0, 1], "offset": [0, 1, -1], "axis1": [1], "axis2": [0],
    "side": ["left", "right"], "sorter": [None, [0, 1, 2, 3]], "stream": [None],
}  # fmt: skip
BY_METHOD: dict[tuple[str, str], list[Any]] = {
    ("argpartition", "kind"): ["introselect"], ("argpartition", "order"): [None], ("argsort", "order"): [None],
    ("copy", "order"): ["C", "F", "K"],
    ("clip", "where"): [True], ("reshape", "copy"): [None, True], ("squeeze", "axis"): [None, 0, (0,)],
    ("trace", "axis1"): [0], ("trace", "axis2"): [1], ("diagonal", "axis2"): [0],
}  # fmt: skip
# NumPy's signatures of these end in **kwargs, as its documentation tells.
HIDDEN: dict[str, tuple[str, ...]] = {
    "sum": ("keepdims", "initial", "where"), "prod": ("keepdims", "initial", "where"), "mean": ("keepdims", "where"),
    "max": ("keepdims", "initial", "where"), "min": ("keepdims", "initial", "where"),
    "clip": ("dtype", "casting", "where"),
    "var": ("keepdims", "where", "mean"), "std": ("keepdims", "where", "mean"),
}  # fmt: skip

# What a method is tried on, if not on X.
OPERANDS: dict[str, Any] = {"choose": NUMBERS, "searchsorted": np.sort(X[0]), "squeeze": X[None], "trace": SQUARE}
OPERANDS["choose"] = np.array([[0, 2, 1, 1]] * 3)

CHANGES = "byteswap fill partition put resize setfield setflags sort".split()
CONVERTS = "item tolist".split()
BYTES = "dump dumps getfield tobytes tofile view".split()  # no numbers, or the same bytes as other numbers

METHODS = [
    name
    for name in dir(np.ndarray)
    if not name.startswith("_") and callable(getattr(np.ndarray, name)) and name not in CHANGES + CONVERTS + BYTES
]


def options_of(name: str) -> list[str]:
    parameters = inspect.signature(getattr(np.ndarray, name)).parameters.values()
    found = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY or p.default is not p.empty]
    return [*(option for option in found if option not in ("self", "out")), *HIDDEN.get(name, ())]


def calls(name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The method with each value of each option, and with some pairs of options."""
    found: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    for required in REQUIRED.get(name, [()]):
        singles = [
            {option: value} for option in options_of(name) for value in BY_METHOD.get((name, option), OPTIONS[option])
            if not (name == "clip" and option in ("min", "max") and required)
        ]  # fmt: skip
        pairs = [one | other for one in singles for other in singles if [*one] < [*other]][::5]
        found += [(required, options) for options in [{}, *singles, *pairs]]
    return found


CALLS = [pytest.param(name, id=name) for name in METHODS]


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("name", CALLS)
def test_every_option(name: str) -> None:
    x = OPERANDS.get(name, X)
    tried = 0
    for required, options in calls(name):

        def f(x: Any, required: Any = required, options: Any = options) -> Any:
            return getattr(x, name)(*required, **options)

        text = f"x.{name}{required} {options}"
        try:
            wanted = f(x)
        except (TypeError, ValueError, IndexError) as error:
            with pytest.raises((TapeError, TypeError)):
                tm.vjp(f, x) if x.dtype.kind == "f" else tm.vmap(f)(x[None])
            assert str(error)
            continue
        tried += 1
        if name == "nonzero":
            assert all((one == other).all() for one, other in zip(tm.vjp(f, x)[0], wanted, strict=True))
            continue
        found = tm.vjp(f, x)[0] if x.dtype.kind == "f" else tm.vmap(f)(x[None])[0]
        np.testing.assert_allclose(found, wanted, rtol=1e-6, err_msg=text)
        assert np.asarray(found).dtype == np.asarray(wanted).dtype, text
        if np.asarray(wanted).dtype == np.float64 and x.dtype.kind == "f" and np.isfinite(wanted).all():
            judge_value_and_gradient(f, x)
            judge_vmap(f, x)
    assert tried


@pytest.mark.parametrize(
    "name", [name for name in METHODS if "out" in inspect.signature(getattr(np.ndarray, name)).parameters]
)
def test_out_is_refused_in_words(name: str) -> None:
    x = OPERANDS.get(name, X)

    def f(x: Any) -> Any:
        return getattr(x, name)(*REQUIRED.get(name, [()])[0], out=np.zeros((3, 4)))

    with pytest.raises(MutationError, match="out="):
        tm.vjp(f, x) if x.dtype.kind == "f" else tm.vmap(f)(x[None])


@pytest.mark.parametrize(("names", "error"), [(CHANGES, MutationError), (CONVERTS, ConcretizationError)])
def test_what_changes_or_converts_is_refused(names: list[str], error: type[Exception]) -> None:
    for name in names:
        with pytest.raises(error):
            tm.grad(lambda x, name=name: [getattr(x, name)(), x.sum()][1])(X)


@pytest.mark.parametrize("name", BYTES)
def test_what_has_no_rule_says_what_to_write(name: str) -> None:
    with pytest.raises(AttributeError, match=r"tm\.detach\(x\)|x\.reshape"):
        tm.grad(lambda x: [getattr(x, name)(), x.sum()][1])(X)


def test_attributes() -> None:
    def f(x: Any) -> Any:
        for name in ("dtype", "itemsize", "nbytes", "ndim", "shape", "size", "device"):
            assert getattr(x, name) == getattr(X, name)
        for name in ("T", "mT", "real", "imag"):
            np.testing.assert_array_equal(tm.detach(getattr(x, name)), getattr(X, name))
        for name in ("base", "ctypes", "data", "flags", "strides"):
            with pytest.raises(AttributeError, match=f"no attribute '{name}'"):
                getattr(x, name)
        return x.sum()

    tm.grad(f)(X)
