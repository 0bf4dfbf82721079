"""What an op's docstring says of shapes and dtypes is what its annotations say, and they are true.

A docstring has one sentence `Num "*#shape", Num "*#shape" -> Num "*shape"`: a word for the dtypes and a dimension
string for each operand and each result. Where an annotation leaves the axes open, the docstring may say more.
"""

import gc
import itertools
import re

import numpy as np
import pytest

import layers
import losses
import tapem as tm
import tapem.random
from tapem.core.primitive import Primitive
from tapem.errors import TapeError
from tapem.types import Float, Inexact, Operand
from tapem.types.annotations import results_of

HOUSES = (tm.__name__, layers.__name__, losses.__name__)
OPS = sorted(
    {op for op in gc.get_objects() if isinstance(op, Primitive) and op.__module__.split(".")[0] in HOUSES},
    key=lambda op: (op.__module__, op.name),
)
TYPED = [op for op in OPS if any(operand.leaves for operand in op.signature.operands)]
KINDS = r"[A-Z]\w+(?: or [A-Z]\w+)*"
TYPE = re.compile(rf'({KINDS})(?: that broadcasts? to|, broadcast to)? "([^"]*)"( \(?each\b)?')


def said(op):
    """What the docstring says: (kind, axes) for each operand, and for each result, of its first clause."""
    text = " ".join(op.__doc__.split(">>>")[0].split())
    first = TYPE.search(text)
    assert first, f"{op} does not say its types"
    left, arrow, right = text[first.start() :].partition(" -> ")
    assert arrow, f"{op} does not say its types"
    return flat(TYPE.findall(left), len(op.signature.operands)), flat(TYPE.findall(right), 1)


def flat(found, count):
    """One pair for each kind; one that stands for `each` is repeated until there are so many operands."""
    rows = list(itertools.chain(*([row] * (count - len(found) + 1 if row[2] else 1) for row in found)))
    return [(kind, axes) for kinds, axes, _ in rows for kind in kinds.split(" or ")]


def meant(operands: list[Operand]):
    return [(leaf.dtype.__name__, leaf.dim_str) for operand in operands for leaf in operand.leaves]


def agree(axes, own, known):
    """Whether axes as they are said may stand for the annotation's own."""
    axes, own = axes.replace("#", "").split(), own.replace("#", "").replace("{", "").replace("}", "").split()
    if len(own) == 1 and own[0].startswith(("*", "...")):
        return True
    if len(axes) != len(own):
        return False
    pairs = zip(axes, own, strict=True)
    return all(a == b or not a.isidentifier() or (b not in known and b.isidentifier()) for a, b in pairs)


@pytest.mark.parametrize("op", TYPED, ids=lambda op: f"{op.__module__}.{op.name}")
def test_the_docstring_says_what_the_annotations_say(op):
    operands, results = said(op)
    own_operands, own_results = meant(op.signature.operands), meant(results_of(op.signature.result))
    assert [kind for kind, _ in operands] == [kind for kind, _ in own_operands]
    known = {axis.strip("*#") for _, axes in own_operands for axis in axes.split()}
    for (_, axes), (_, own) in zip(operands, own_operands, strict=True):
        assert agree(axes, own, known), (axes, own)
    results = results[: len(own_results)]  # any further ones are those of other ranks or options
    assert [kind for kind, _ in results] == [kind for kind, _ in own_results]
    for (_, axes), (_, own) in zip(results, own_results, strict=True):
        assert agree(axes, own, known), (axes, own)


def test_no_annotation_leaves_the_dtype_unsaid():
    for op in TYPED:
        for kind, _ in meant([*op.signature.operands, *results_of(op.signature.result)]):
            assert kind != "Shaped", op


# What is annotated is what NumPy takes and gives ----------------------------------------------------------------------

# SciPy's ufuncs know no long double, and say so in their annotations.
LATE = "tapem.ops.scipy.special"
ELEMENTWISE = [op for op in OPS if op.elementwise and op.__module__.startswith("tapem.ops") and op.__module__ != LATE]
DTYPES = "bool int8 uint8 int32 int64 uint64 float16 float32 float64 longdouble".split()
STATIC = {"polygamma": {"n": 1}, "odd_power": {"power": 3.0}, "even_power": {"power": 3.0}, "i0_derivative": {"n": 1}}
NO_BOOLS = {"gcd", "lcm", "neg", "odd_power", "sign", "sub"}  # nor does NumPy take bools in these
FLOATS_ONLY = {"from_parts"}
INTEGERS_ONLY = {
    "bitwise_and", "bitwise_count", "bitwise_not", "bitwise_or", "bitwise_xor", "gcd", "lcm", "ldexp", "left_shift",
    "right_shift",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
def test_an_elementwise_op_takes_and_gives_what_it_says(op):
    static = STATIC.get(op.name, {})
    for dtypes in itertools.product(DTYPES, repeat=op.arity):
        inputs = [np.ones((2, 3), dtype) for dtype in dtypes]
        try:
            result = op(*inputs, **static)
        except TapeError as error:
            kinds = {np.dtype(dtype).kind for dtype in dtypes}
            assert isinstance(error, tm.DTypeError)
            taken = "b" if op.name in INTEGERS_ONLY else "f" if op.name in FLOATS_ONLY else "biuf"
            wide = op.name in FLOATS_ONLY | {"polygamma"} and "longdouble" in dtypes
            assert (op.name in NO_BOOLS and "b" in kinds) or kinds - set(taken) or wide, error
        else:
            op.signature.verify(inputs, result)
            floats = results_of(op.signature.result)[0].leaves[0].dtype in (Float, Inexact)
            if floats and op.name not in INTEGERS_ONLY:  # integers are as good as floats
                expected = op(*(x.astype(float) for x in inputs), **static)
                error = 2e-3 if result.dtype == np.float16 else 1e-6
                np.testing.assert_allclose(result, expected, rtol=error, atol=error)
