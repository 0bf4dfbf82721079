"""What errors say: a table of mistakes, each with what its message must contain, and what it must not advise."""

import contextlib
import copy
import pickle
import re
import traceback
from dataclasses import dataclass

import numpy as np
import pytest

import layers
import tapem as tm
from tapem.core import hints

special = pytest.importorskip("scipy.special")

A = np.ones(3)
AA = np.ones((2, 3))


def grad(f, x=A):
    return lambda: tm.grad(f)(x)


def assigns(x):
    out = np.zeros(3)
    out[0] = x[0]
    return np.sum(out)


def assigns_slice(x):
    out = np.zeros(3)
    out[:] = x
    return np.sum(out)


def adds_to_element(x):
    out = np.zeros(3)
    out[1] += x[1]
    return np.sum(out)


def plots(x):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    pyplot.plot(x)
    return np.sum(x)


@dataclass
class Params:
    w: object
    steps: object


def in_closure(x):
    return tm.scalar_rule(lambda y: x[0] * y, lambda r, y: 1.0)(x[1])


def in_partial(x):
    return tm.scalar_rule(lambda y: 2.0 * y, lambda r, y: 2.0 * x[0] / x[0])(x[1])


LIST = [r"Argument 0 is a list, which is a tree of 2 numbers", r"np\.array"]
FUNCTION = [r"needs a function, not", r"the function itself, f, and not its value"]
ARGNUMS = [r"grad: argnums=.* must be the position of an argument", r"passed by position"]
KEEPS = [r"would lose its gradient", r"np\.stack", r"scatter_set"]
LOSES = [r"detach", r"float\(", r"asarray"]

CASES = {
    # arguments
    "list, np.sum": (grad(lambda x: np.sum(x), [1.0, 2.0]), tm.ConcretizationError, LIST, []),
    "list, **": (grad(lambda x: np.sum(x**2), [1.0, 2.0]), TypeError, LIST, []),
    "list, method": (grad(lambda x: x.sum(), [1.0, 2.0]), AttributeError, LIST, []),
    "list, vjp": (lambda: tm.vjp(lambda x: x.sum(), [1.0, 2.0]), AttributeError, LIST, []),
    "list, jvp": (lambda: tm.jvp(lambda x: x.sum(), ([1.0, 2.0],), ([1.0, 2.0],)), AttributeError, LIST, []),
    "list, jacrev": (lambda: tm.jacrev(lambda x: x.sum())([1.0, 2.0]), AttributeError, LIST, []),
    "list, hvp": (lambda: tm.hvp(lambda x: x.sum(), ([1.0, 2.0],), ([1.0, 2.0],)), AttributeError, LIST, []),
    "list of lists": (grad(lambda x: x.sum(), [[1.0], [2.0]]), AttributeError, LIST, []),
    "list of arrays": (grad(lambda x: x.sum(), [A, A]), AttributeError, ["'list'"], [r"is a tree"]),
    "list, vmap": (lambda: tm.vmap(np.sin)([1.0, 2.0]), tm.ArgumentError, [r"np\.array\(...\) for a list"], []),
    "value for f": (lambda: tm.grad(3.0), tm.ArgumentError, ["grad " + FUNCTION[0], FUNCTION[1]], []),
    "f(x) for f": (lambda: tm.grad(np.sin(1.0)), tm.ArgumentError, [r"np\.float64\(0\.84", *FUNCTION], []),
    "step for f": (lambda: tm.grad(tm.sin(tm.leaf(1.0))), tm.ArgumentError, [r"<step sin", *FUNCTION], []),
    **{
        f"{name}(3.0)": (lambda make=make: make(3.0), tm.ArgumentError, [f"^{name} needs", *FUNCTION], [])
        for name, make in {
            "value_and_grad": tm.value_and_grad,
            "jacfwd": tm.jacfwd,
            "jacrev": tm.jacrev,
            "hessian": tm.hessian,
            "vmap": tm.vmap,
            "checkpoint": tm.checkpoint,
            "vjp": lambda f: tm.vjp(f, A),
            "jvp": lambda f: tm.jvp(f, (A,), (A,)),
            "hvp": lambda f: tm.hvp(f, (A,), (A,)),
            "linearize": lambda f: tm.linearize(f, A),
        }.items()
    },
    "argnums of a name": (lambda: tm.grad(np.sum, argnums="w"), tm.ArgumentError, ["'w'", *ARGNUMS], []),
    "argnums of names": (lambda: tm.grad(np.sum, argnums=["w", "b"]), tm.ArgumentError, ARGNUMS, []),
    "argnums of a float": (lambda: tm.grad(np.sum, argnums=1.5), tm.ArgumentError, ARGNUMS, []),
    "grad(f, x)": (lambda: tm.grad(np.sum, A), tm.ArgumentError, [r"given as grad\(f\)\(x\)", *ARGNUMS], []),
    "jacfwd, argnums": (lambda: tm.jacfwd(np.sum, "w"), tm.ArgumentError, ["jacfwd: argnums='w'"], []),
    "hessian, argnums": (lambda: tm.hessian(np.sum, "w"), tm.ArgumentError, ["argnums='w'"], []),
    "by name only": (lambda: tm.grad(lambda w: np.sum(w))(w=A), tm.ArgumentError, ["by position, not by name"], []),
    # leaves
    "integer leaf": (
        grad(lambda p: np.sum(p["w"]), {"w": A, "n": [1.0, 2]}),
        tm.DTypeError,
        [r"grad: argument 0, leaf \['n'\]\[1\] is int64", "allow_int=True"],
        [],
    ),
    "integer leaf of the second": (
        lambda: tm.grad(lambda *xs: 0.0, argnums=(2, 1))(A, {"n": 3}, A),
        tm.DTypeError,
        [r"argument 1, leaf \['n'\] is int64"],
        [],
    ),
    "integer leaf of a dataclass": (
        grad(lambda p: np.sum(p.w), Params(A, 3)),
        tm.DTypeError,
        [r"argument 0, leaf .*steps.* is int64"],
        [],
    ),
    "integer argument": (grad(lambda x: x, 3), tm.DTypeError, [r"grad: argument 0 is int64"], ["leaf"]),
    "integer, jacrev": (
        lambda: tm.jacrev(lambda a, b: a, argnums=1)(A, {"b": True}),
        tm.DTypeError,
        [r"jacrev: argument 1, leaf \['b'\] is bool"],
        ["allow_int"],
    ),
    "string leaf": (
        grad(lambda p: 0.0, {"name": "x"}),
        tm.DTypeError,
        [r"grad: argument 0, leaf \['name'\] is 'x'"],
        [],
    ),
    "string alone": (lambda: tm.vjp(np.sin, "x"), tm.DTypeError, ["vjp: argument 0 is 'x'"], []),
    # what f returns
    "no return": (grad(lambda x: None), tm.NotScalarError, ["returned None: no `return`"], []),
    "loss in a list": (grad(lambda x: [np.sum(x)]), tm.NotScalarError, ["1 values in a list", "loss alone"], []),
    "loss and more": (grad(lambda x: (np.sum(x), x)), tm.NotScalarError, ["2 values in a tuple", "has_aux=True"], []),
    "no pair": (lambda: tm.grad(np.sum, has_aux=True)(A), tm.NotScalarError, ["a pair .*, not a Tracer"], []),
    # indices
    "w[0.5]": (grad(lambda x: x[0.5]), tm.DTypeError, ["index 0.5 is a float", "an integer, a slice"], [r"bool\("]),
    "w['a']": (grad(lambda x: x["a"]), tm.DTypeError, ["index 'a' is a str", "not a dict"], []),
    "w[floats]": (grad(lambda x: np.sum(x[np.ones(1)])), tm.DTypeError, ["array of float64", "astype"], []),
    "w[w]": (grad(lambda x: np.sum(x[x])), tm.DTypeError, ["array of float64"], []),
    # names of other libraries
    "dim, np.sum": (grad(lambda x: np.sum(x, dim=0)), TypeError, ["axis= for dim="], []),
    "dim, method": (grad(lambda x: x.sum(dim=0)), TypeError, ["axis= for dim="], []),
    "dim, other method": (grad(lambda x: x.std(dim=0)), TypeError, ["axis= for dim="], []),
    "dim, op": (grad(lambda x: tm.sum(x, dim=0)), TypeError, ["axis= for dim="], []),
    "dim, op on arrays": (lambda: tm.softmax(A, dim=0), TypeError, ["axis= for dim="], []),
    "keepdim": (grad(lambda x: tm.sum(x, keepdim=True)), TypeError, ["keepdims= for keepdim="], []),
    "another argument": (grad(lambda x: tm.sum(x, dimension=0)), TypeError, ["no argument 'dimension'"], ["axis="]),
    ".view": (grad(lambda x: x.view(1, 3)), AttributeError, ["'view'", r"x\.reshape\(shape\)"], ["detach"]),
    ".numpy()": (grad(lambda x: x.numpy()), AttributeError, ["'numpy'", r"cut off, is tm\.detach"], []),
    ".at[].set": (grad(lambda x: x.at[0].set(1.0)), AttributeError, ["'at'", "scatter_set"], []),
    ".backward()": (grad(lambda x: np.sum(x).backward()), AttributeError, [r"tm\.grad\(f\)\(x\)"], []),
    # what a tracer is not
    "key": (grad(lambda x: {x: 1}), TypeError, ["cannot be a key of a dict", r'as in \{"w": 1\}'], []),
    "set": (grad(lambda x: {x}), tm.ConcretizationError, ["a member of a set"], []),
    "pickle": (grad(lambda x: pickle.dumps(x)), tm.ConcretizationError, ["cannot be pickled", "detach"], []),
    "out[i] = x": (grad(assigns), ValueError, [r"`out\[0\] = x\[0\]`", *KEEPS], LOSES),
    "out[:] = x": (grad(assigns_slice), tm.ConcretizationError, [r"`out\[:\] = x`", *KEEPS], LOSES),
    "out[i] += x": (grad(adds_to_element), ValueError, KEEPS, LOSES),
    "out[i] = x, vmap": (lambda: tm.vmap(assigns)(AA), ValueError, KEEPS, LOSES),
    "plot": (grad(plots), tm.ConcretizationError, [r"`pyplot\.plot\(x\)`", "of a plot", "detach"], ["pickled"]),
    # ops
    "matmul": (
        grad(lambda x: np.sum(x @ np.ones((4, 2)))),
        tm.ShapeError,
        [r"\n  a: f64\[3\]  node 0\n  b: "],
        ["'a'"],
    ),
    "complex, grad": (lambda: tm.grad(np.sin, 0)(1j), tm.DTypeError, ["real output", "holomorphic=True"], []),
    "complex, jvp": (
        lambda: tm.jvp(lambda p: p["z"], ({"z": np.ones(2)},), ({"z": 1j * np.ones(2)},)),
        tm.DTypeError,
        [r"the tangent has dtype complex128, but belongs to a value of dtype float64, which is real; .*\.real"],
        [],
    ),
    "integers for floats": (
        lambda: layers.linear(np.ones((2, 3), int), np.ones(2), A),
        tm.DTypeError,
        [r"hint: use weight\.astype\(np\.float64\)"],
        [],
    ),
    "integers among float32": (
        lambda: layers.linear(np.ones((2, 3), int), np.ones(2, np.float32), A.astype(np.float32)),
        tm.DTypeError,
        [r"hint: use weight\.astype\(np\.float32\)"],
        [],
    ),
    "scalar_rule, op": (grad(in_closure), tm.TapeError, ["closes over a traced value", "as an operand"], ["escaped"]),
    "scalar_rule, partial": (grad(in_partial), tm.TapeError, ["rrule of <lambda>.y", "closes over a traced value"], []),
    # functions without a rule
    "SciPy's other ufunc": (
        grad(lambda x: np.sum(special.elliprj(x, x, x, x))),
        tm.NoRuleError,
        [r"^scipy\.special\.elliprj has no rule", "functions that have one"],
        [],
    ),
    "SciPy's ufunc of two results": (
        grad(lambda x: np.sum(special.sici(x)[0])),
        tm.NoRuleError,
        [r"special\.sici"],
        [],
    ),
    "SciPy's function": (
        grad(lambda x: np.sum(special.softmax(x))),
        tm.ConcretizationError,
        ["of another library"],
        [],
    ),
    "SciPy's ufunc, out=": (
        grad(lambda x: special.expit(x, out=np.zeros(3))),
        tm.MutationError,
        [r"scipy\.special\.expit would write"],
        [],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_an_error_says(name):
    attempt, kind, contains, lacks = CASES[name]
    with pytest.raises(kind) as caught:
        attempt()
    error = caught.value
    reasons = [error] if error.__cause__ is None else [error, error.__cause__]
    says = "\n".join(line for reason in reasons for line in (str(reason), *getattr(reason, "__notes__", ())))
    for pattern in contains:
        assert re.search(pattern, says), f"{pattern!r} not in: {says}"
    for pattern in lacks:
        assert not re.search(pattern, says), f"{pattern!r} in: {says}"
    assert len(says) < 900
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next
    text = "".join(traceback.format_exception(error))
    assert len(text.splitlines()) <= 20, text


def test_a_copy_of_a_tracer_is_itself():
    for duplicate in (copy.copy, copy.deepcopy, lambda x: copy.deepcopy({"a": [x]})["a"][0]):
        np.testing.assert_array_equal(tm.grad(lambda x, duplicate=duplicate: np.sum(duplicate(x) ** 2))(A), 2 * A)


def test_argnums_are_whatever_counts():
    for argnums in (1, np.int64(1), np.array(1), -1):
        assert tm.grad(lambda a, b: a * b, argnums)(2.0, 3.0) == 2.0
    assert tm.grad(lambda a, b: a * b, [np.int32(1), 0])(2.0, 3.0) == (2.0, 3.0)


@pytest.mark.parametrize(
    "name",
    "expit log_expit logit erf erfc ndtr xlogy exp2 exp10 cbrt logsumexp softmax log_softmax".split(),
)
def test_what_is_advised_for_a_function_of_scipys_is_that_function(name):
    function = getattr(special, name)
    x, y = np.array([0.3, 0.5, 0.9]), np.array([2.0, 0.4, 3.0])
    if name == "xlogy":
        x[0] = y[0] = 0.0
    given = (x, y)[: getattr(function, "nin", 1)]
    code = hints.instead(f"scipy.special.{name}")
    found = eval(code.replace("reshape(shape)", "reshape(3, 2)"), {"tm": tm, "np": np, "x": x, "y": y})
    np.testing.assert_allclose(found, function(*given), rtol=1e-12)
    tm.testing.check_grads(
        lambda x: eval(
            code.replace("reshape(shape)", "reshape(3, 2)"), {"tm": tm, "np": np, "x": x, "y": np.abs(y) + 1}
        ),
        (x + 0.01,),
        order=1,
    )


def test_every_function_of_scipys_with_advice_exists():
    advised = [name for name in dir(special) if hints.instead(f"scipy.special.{name}")]
    assert len(advised) == len(hints._SCIPY)
    assert all(callable(getattr(special, name)) for name in advised)


def code_in(hint):
    """The longest piece of code after "write" or "is", or nothing."""
    for start in re.finditer(r"[Ww]rite |is (?=tm\.)", hint):
        for end in range(len(hint), start.end(), -1):
            with contextlib.suppress(SyntaxError):
                compile(hint[start.end() : end], "", "eval")
                return hint[start.end() : end]
    return ""


@pytest.mark.parametrize("name", hints.ATTRIBUTES)
def test_what_is_advised_for_an_attribute_runs(name):
    """An attribute with a hint is one that a tracer lacks, and the code in the hint is code that runs."""
    code = code_in(hints.ATTRIBUTES[name])

    def f(x):
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'\\. "):
            getattr(x, name)
        if code and "grad(f)" not in code:
            given = {
                "shape": (5, 2, 3),
                "dtype": np.float32,
                "axes": (1, 0),
                "axis": 0,
                "indices": [[0] * 3],
                "values": x[:1],
            }
            eval(
                code.replace("reshape(shape)", "reshape(3, 2)"),
                {"tm": tm, "np": np, "x": x, "y": x.T if "@" in code else x, **given},
            )
        return np.sum(x)

    np.testing.assert_array_equal(tm.grad(f)(np.ones((2, 3)) / 2), np.ones((2, 3)))
    assert code or "eave it out" in hints.ATTRIBUTES[name]
