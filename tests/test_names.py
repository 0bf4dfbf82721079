"""Every public name has one meaning: in one place, between places, and between tapem and NumPy."""

from __future__ import annotations

import itertools
import types
from typing import Any

import numpy as np
import pytest

import layers
import losses
import tapem as tm
from tapem.core import FUNCTIONS, UFUNCS, Primitive
from tests.test_table import primitives

PLACES: dict[str, Any] = {
    "tm": tm, "tm.random": tm.random, "tm.optim": tm.optim, "tm.model": tm.model, "tm.testing": tm.testing,
    "layers": layers, "losses": losses,
}  # fmt: skip

# What one name means in two places, as the contract has it: the same idea, of something else.
IN_TWO_PLACES = {
    **dict.fromkeys(["hvp", "jacrev", "jvp", "value_and_grad"], ("tm", "tm.model")),  # of a function, and of a model
    "detach": ("tm", "losses"),  # a value, and a loss that does not see its prediction's derivative
    "split": ("tm", "tm.random"),  # an array, and a key
}

# Public names of tapem that NumPy has for something else.
NOT_NUMPYS = {
    "identity": "the value itself, beside np.identity, which makes a matrix",
    "inv": "1 / x, as the contract has it, beside np.linalg.inv, which is linalg_inv",
    "cond": "tm.cond chooses between functions, beside np.linalg.cond",
    "save": "tm.save and tm.load are for trees of arrays",
    "load": "tm.save and tm.load are for trees of arrays",
    "ravel": "tm.ravel is for trees, as the contract has it; an array's is tm.flatten",
    "random": "a module in both",
    "testing": "a module in both",
}


def names_of(place: Any) -> list[str]:
    public = getattr(place, "__all__", None) or [name for name in dir(place) if not name.startswith("_")]
    return [name for name in public if not isinstance(getattr(place, name), types.ModuleType)]


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(PLACES, 2)))
def test_a_name_means_the_same_in_every_place(one: str, other: str) -> None:
    both = set(names_of(PLACES[one])) & set(names_of(PLACES[other]))
    differ = {name for name in both if getattr(PLACES[one], name) is not getattr(PLACES[other], name)}
    assert differ == {name for name, places in IN_TWO_PLACES.items() if places == (one, other)}


def test_no_two_ops_have_one_name() -> None:
    named: dict[str, Primitive] = {}
    for op in primitives():
        if op.__module__ != "tapem.ops.scipy.special":  # entered by SciPy's names, and public under none
            assert named.setdefault(op.name, op) is op, f"{op} of {op.__module__} and of {named[op.name].__module__}"


def test_an_op_is_public_under_its_own_name_only() -> None:
    for name in tm.__all__:
        op = getattr(tm, name)
        if isinstance(op, Primitive):
            assert op.name == name or (name, op.name) == ("inv", "reciprocal")


# Where NumPy's function is made of the op, both give the same: of a matrix, or of these arguments.
M = np.array([[4.0, 1.0], [1.0, 3.0]])
LINE = np.array([3.0, 1.0, 2.0])
MADE_OF_IT: dict[str, tuple[Any, ...]] = {
    "argpartition": (LINE, 1), "argsort": (LINE,), "astype": (LINE, np.float32), "concat": ([LINE, LINE],),
    "convolve": (LINE, LINE), "correlate": (LINE, LINE), "cumprod": (LINE,), "cumsum": (LINE,), "eig": (M,),
    "eigh": (M,),
    "einsum": ("ij->j", M), "imag": (LINE * 1j,), "norm": (M,), "pad": (LINE, 2), "qr": (M,), "real": (LINE,),
    "repeat": (LINE, 2), "sign": (LINE,), "slogdet": (M,), "sort": (LINE,), "split": (LINE, 3),
    "stack": ([LINE, LINE],), "svd": (M, False),
    "take": (LINE, [0, 2]), "tril": (M,), "triu": (M,), "where": (LINE > 2, LINE, M[0, 0]),
}  # fmt: skip


@pytest.mark.parametrize("space", [np, np.linalg, np.fft], ids=lambda space: space.__name__)
def test_a_name_that_numpy_has_means_what_it_means_there(space: Any) -> None:
    """A name of np.linalg or np.fft that is not np's too is public with its prefix where the bare name is taken."""
    prefix = space.__name__.removeprefix("numpy").lstrip(".")
    for name in tm.__all__:
        ours, theirs = getattr(tm, name), getattr(space, name, None)
        if prefix and name.startswith(f"{prefix}_"):
            assert getattr(space, name.removeprefix(f"{prefix}_")) in FUNCTIONS
        if not callable(theirs) or name in NOT_NUMPYS or (space is not np and hasattr(np, name)):
            continue
        found = UFUNCS.get(theirs) if isinstance(theirs, np.ufunc) else getattr(FUNCTIONS.get(theirs), "handler", None)
        if found is not ours:
            assert found is not None, f"tm.{name} is not {space.__name__}.{name}"
            one, other = (f(*MADE_OF_IT.get(name, (M,))) for f in (ours, theirs))
            for part, wanted in zip(*((y if isinstance(y, tuple | list) else [y]) for y in (one, other)), strict=True):
                np.testing.assert_allclose(part, wanted)


def test_what_numpy_has_for_something_else_is_listed_while_it_is_there() -> None:
    for name in NOT_NUMPYS:
        assert hasattr(np, name) or hasattr(np.linalg, name)
        assert name in tm.__all__


def test_what_is_kept_for_trees_and_control() -> None:
    """tm.partition(tree, where) and tm.cond(predicate, f, g) are the contract's; NumPy's are named otherwise."""
    assert not isinstance(getattr(tm, "partition", None), Primitive)
    assert tm.cond.__module__.startswith("tapem.transforms")
    np.testing.assert_array_equal(tm.partition_axis([3.0, 1.0, 2.0], 1), np.partition([3.0, 1.0, 2.0], 1))
