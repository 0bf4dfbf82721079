"""`tapem.xp` against the array API standard: its names, its signatures, and calls of each function on traced values."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.types import NUMPY
from tests.xp.calls import CALLS, X, function_of
from tests.xp.standard import CONSTANTS, DTYPES, SIGNATURES

CASES = [(name, index) for name, calls in CALLS.items() for index in range(len(calls))]


def told(name: str) -> inspect.Signature | None:
    """The signature of a function of the standard here, unless it is one in C, which tell theirs from NumPy 2.4 on."""
    try:
        return inspect.signature(function_of(tm.xp, name))
    except ValueError:
        return None


@pytest.mark.parametrize("name", [name for name in SIGNATURES if NUMPY >= (2, 4) or told(name)])
def test_names_and_signatures_are_the_standards(name: str):
    """What the standard passes by position is taken by position, and what it names is taken by that name."""
    signature = told(name)
    assert signature is not None
    theirs = SIGNATURES[name].parameters.values()
    positional = [object() for p in theirs if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    by_name = {p.name: object() for p in theirs if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    only_by_name = {p.name: object() for p in theirs if p.kind is p.KEYWORD_ONLY}
    only_by_position = [object() for p in theirs if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)]
    signature.bind(*positional, **only_by_name)
    signature.bind(*only_by_position, **by_name)


@pytest.mark.parametrize("name", [*CONSTANTS, *DTYPES])
def test_constants_and_dtypes_are_numpys(name: str):
    assert getattr(tm.xp, name) is getattr(np, name)


def test_there_is_nothing_else():
    """Nothing is public but what the standard names."""
    own = {*tm.xp.__all__, *(f"{part}.{name}" for part in ("fft", "linalg") for name in getattr(tm.xp, part).__all__)}
    theirs = {*SIGNATURES, *CONSTANTS, *DTYPES, "fft", "linalg", "__array_api_version__", "__array_namespace_info__"}
    assert own == theirs
    assert tm.xp.__array_api_version__ == "2024.12"


KINDS = "bool/signed integer/unsigned integer/integral/real floating/complex floating/numeric".split("/")


def test_the_namespace_tells_about_itself():
    info = tm.xp.__array_namespace_info__()
    assert (info.default_device(), info.devices()) == ("cpu", ["cpu"])
    assert info.default_dtypes(device="cpu")["complex floating"] == np.complex128
    assert info.capabilities() == {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}
    np.zeros((1,) * 64)
    with pytest.raises(ValueError, match="64"):
        np.zeros((1,) * 65)
    assert list(info.dtypes()) == DTYPES
    assert info.dtypes(kind=("bool", "real floating")) == {n: np.dtype(n) for n in ("bool", "float32", "float64")}
    assert all(np.isdtype(dtype, kind) for kind in KINDS for dtype in info.dtypes(kind=kind).values())
    assert [len(info.dtypes(kind=kind)) for kind in KINDS] == [1, 4, 4, 8, 2, 2, 12]
    with pytest.raises(tm.ArgumentError, match=r"dtypes: 'float' is no kind of dtypes. There are 'bool', 'signed int"):
        info.dtypes(kind="float")
    with pytest.raises(tm.ArgumentError, match=r"device='cuda': tapem computes on the \"cpu\" only"):
        info.dtypes(device="cuda")


@pytest.mark.parametrize("info", [getattr(np, name) for name in ("__array_namespace_info__",) if hasattr(np, name)])
def test_it_tells_what_numpy_tells(info: Any):
    theirs, ours = info(), tm.xp.__array_namespace_info__()
    assert theirs.capabilities().items() <= ours.capabilities().items()  # "max dimensions" came with NumPy 2.3
    for name in ("default_device", "devices", "default_dtypes", "dtypes"):
        assert getattr(ours, name)() == getattr(theirs, name)()
    assert all(ours.dtypes(kind=kind) == theirs.dtypes(kind=kind) for kind in KINDS)


@pytest.mark.parametrize("copy", [None, True, False])
def test_reshape_copies_as_it_is_told(copy: bool | None):
    x = np.arange(6.0).reshape(2, 3)
    for given, shared in ((x, True), (x.T, False), (x[:0], True)):
        if copy is False and not shared:
            with pytest.raises(tm.ArgumentError, match=r"copy=False\): this array of shape \(3, 2\) must be copied"):
                tm.xp.reshape(given, (-1,), copy=copy)
            continue
        found = tm.xp.reshape(given, (-1,), copy=copy)
        np.testing.assert_array_equal(found, given.ravel())
        assert np.may_share_memory(found, given) is bool(shared and not copy and given.size)


def test_from_dlpack_copies_if_it_is_told():
    x = np.arange(3.0)
    assert np.may_share_memory(tm.xp.from_dlpack(x), x)
    assert not np.may_share_memory(tm.xp.from_dlpack(x, device="cpu", copy=True), x)


# What NumPy's functions, or their options, have no rule for as yet, though the standard has them.
NO_RULE: set[str] = set()


def test_the_limits_tell_how_many_functions_run():
    limits = Path("docs/limits.md").read_text()
    assert f"{len(SIGNATURES) - len(NO_RULE)} of its {len(SIGNATURES)} functions" in limits


@pytest.mark.parametrize(("name", "index"), CASES)
def test_traced_values_are_taken(name: str, index: int):
    """A call of each function gives on a traced matrix what it gives on an array, and the derivative of differences.

    A function without a rule says its name.
    """
    call, step = CALLS[name][index], np.linspace(-1.0, 1.0, X.size).reshape(X.shape)
    expected = tm.tree_leaves(call(tm.xp, X))
    try:
        found, tangent = tm.jvp(lambda x: call(tm.xp, x), (X,), (step,))
    except tm.NoRuleError as error:
        assert name in NO_RULE and f"np.{name} " in str(error)
        return
    assert name not in NO_RULE
    values, tangents = tm.tree_leaves(found), tm.tree_leaves(tangent)
    ahead, behind = (tm.tree_leaves(call(tm.xp, X + h * step)) for h in (1e-6, -1e-6))
    assert len(values) == len(expected) == len(tangents)
    for value, wanted, slope, high, low in zip(values, expected, tangents, ahead, behind, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-12)
        assert np.asarray(value).dtype == np.asarray(wanted).dtype
        if np.asarray(wanted).dtype in (np.float64, np.complex128):
            np.testing.assert_allclose(slope, (np.asarray(high) - np.asarray(low)) / 2e-6, rtol=1e-5, atol=1e-8)


# The functions that NumPy spells otherwise, against NumPy's own under other names.
SPELLED: dict[str, tuple[Any, Any]] = {
    "argsort": (lambda xp, x: xp.argsort(x, axis=0), lambda x: np.argsort(x, axis=0, stable=True)),
    "argsort descending": (lambda xp, x: xp.argsort(x, descending=True), lambda x: np.argsort(-x, stable=True)),
    "astype": (lambda xp, x: xp.astype(x, xp.float32), lambda x: np.array(x, np.float32)),
    "clip": (lambda xp, x: xp.clip(x, 1.0, 2.0), lambda x: np.minimum(np.maximum(x, 1.0), 2.0)),
    "cumulative_prod": (lambda xp, x: xp.cumulative_prod(x[0]), lambda x: np.multiply.accumulate(x[0])),
    "cumulative_sum": (
        lambda xp, x: xp.cumulative_sum(x, axis=1, dtype=xp.float32, include_initial=True),
        lambda x: np.pad(np.add.accumulate(x, axis=1), ((0, 0), (1, 0))).astype(np.float32),
    ),
    "finfo": (lambda xp, x: xp.finfo(x).max, lambda x: np.finfo(np.float64).max),
    "fftfreq": (
        lambda xp, x: xp.fft.fftfreq(5, d=0.5, dtype=xp.float32),
        lambda x: np.float32([0, 0.4, 0.8, -0.8, -0.4]),
    ),
    "iinfo": (lambda xp, x: xp.iinfo(xp.int8).min, lambda x: -128),
    "reshape": (lambda xp, x: xp.reshape(x, (3, -1), copy=True), lambda x: x.reshape(3, 2)),
    "sort descending": (lambda xp, x: xp.sort(x, axis=0, descending=True), lambda x: -np.sort(-x, axis=0)),
    "take_along_axis": (
        lambda xp, x: xp.take_along_axis(x, xp.asarray([[2], [0]])),
        lambda x: np.array([[x[0, 2]], [x[1, 0]]]),
    ),
    "unstack": (lambda xp, x: xp.stack(xp.unstack(x, axis=1)), lambda x: x.T),
    "vecdot": (lambda xp, x: xp.vecdot(x, x, axis=-2), lambda x: np.einsum("ij,ij->j", x, x)),
}


@pytest.mark.parametrize("traced", [False, True], ids=["array", "traced"])
@pytest.mark.parametrize("name", SPELLED)
def test_what_numpy_spells_otherwise(name: str, traced: bool):
    ours, numpys = SPELLED[name]
    x = np.array([[1.0, 3.0, 1.0], [2.0, 2.0, 5.0]])
    found = tm.jvp(lambda v: ours(tm.xp, v), (x,), (x,))[0] if traced else ours(tm.xp, x)
    np.testing.assert_array_equal(found, numpys(x))
    assert np.asarray(found).dtype == np.asarray(numpys(x)).dtype


def test_a_matrix_needs_an_axis_to_be_summed_along():
    with pytest.raises(tm.ArgumentError, match=r"xp.cumulative_sum: x has 2 axes \(3, 3\), so axis=.* must be"):
        tm.grad(lambda x: tm.sum(tm.xp.cumulative_sum(x)))(X)
