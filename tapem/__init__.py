"""Functional automatic differentiation for NumPy: a pure tape, typed shapes, rules you can read.

`grad` and its kin differentiate plain NumPy functions. Beneath them lies a `Tape`, an immutable value that records
which op was applied to what, and a `TapeM`, a step from one tape to the next; `do` composes such steps into programs.
An op does what its operands ask for: arrays are computed at once, a `Ref` gives a step, a tracer is recorded.

>>> grad(lambda x: np.sum(np.sin(x) ** 2))(np.array([0.0, np.pi / 4]))
array([0., 1.])
>>> x, tape = Tape().leaf(3.0, name="x")
>>> y, tape = (square(x) + x).run(tape)
>>> float(tape.value(y)), float(tape.backward_scalar(y)[x])
(12.0, 7.0)

The packages `layers` and `losses` build on this one; `tm.model` holds what one asks of a model and a loss,
`tm.optim` minimizes, `tm.testing` checks gradients.
"""

from tapem import model, optim, random, testing
from tapem.core.node import Node, ShapeDtype
from tapem.core.primitive import Primitive
from tapem.core.tree import tree_flatten, tree_leaves, tree_map, tree_unflatten
from tapem.doors.monadic.programs import (
    backward,
    backward_scalar,
    const,
    do,
    fail,
    fold,
    get_tape,
    leaf,
    lift,
    param,
    pure,
    sequence,
    set_tape,
    traverse,
)
from tapem.doors.monadic.step import Err, Ok, TapeM
from tapem.doors.pure.gradients import Gradients
from tapem.doors.pure.tape import Ref, Tape
from tapem.errors import (
    ArgumentError,
    ConcretizationError,
    DTypeError,
    EscapedTracerError,
    FieldError,
    FileFormatError,
    MissingGradientError,
    MutationError,
    NonFiniteError,
    NoRuleError,
    NotScalarError,
    ShapeError,
    StepError,
    TangentError,
    TapeError,
    TreeError,
    UnknownRefError,
)
from tapem.ops.activations import elu, erf, gelu, leaky_relu, relu, sigmoid, silu, softplus
from tapem.ops.arithmetic import (
    abs,
    add,
    copysign,
    div,
    fabs,
    fmod,
    hypot,
    identity,
    inv,
    mul,
    neg,
    power,
    reciprocal,
    remainder,
    scale,
    sign,
    sqrt,
    square,
    sub,
)
from tapem.ops.axes import all_mapped
from tapem.ops.casting import astype
from tapem.ops.comparison import (
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    ceil,
    equal,
    floor,
    floor_divide,
    greater,
    greater_equal,
    heaviside,
    isclose,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    not_equal,
    rint,
    round,
    signbit,
    trunc,
)
from tapem.ops.cumulative import cumprod, cumsum, sort
from tapem.ops.declare import Declaration, elementwise, primitive
from tapem.ops.decompositions import cholesky, qr
from tapem.ops.diagonals import diag, diagonal, trace, tril, triu
from tapem.ops.einsum import einsum
from tapem.ops.exponential import cbrt, exp, exp2, expm1, log, log1p, log2, log10, logaddexp, logaddexp2, safe_log
from tapem.ops.indexing import getitem, scatter_add, scatter_set, take, take_along_axis
from tapem.ops.joining import concat, concat_vectors, split, stack
from tapem.ops.linalg import bmm, dot, inner, kron, matmul, outer, tensordot, vdot
from tapem.ops.norms import norm
from tapem.ops.padding import pad
from tapem.ops.reductions import logsumexp, max, mean, min, prod, std, sum, var
from tapem.ops.searching import all, any, argmax, argmin, argsort, count_nonzero
from tapem.ops.selection import clamp, fmax, fmin, maximum, minimum, where
from tapem.ops.shaping import (
    broadcast_to,
    expand_dims,
    flatten,
    flip,
    moveaxis,
    repeat,
    reshape,
    roll,
    squeeze,
    swapaxes,
    tile,
    transpose,
)
from tapem.ops.softmax import log_softmax, softmax
from tapem.ops.solving import det, linalg_inv, slogdet, solve
from tapem.ops.spectral import eigh, eigvalsh, svd, svdvals
from tapem.ops.trigonometry import (
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    cos,
    cosh,
    deg2rad,
    rad2deg,
    sin,
    sinc,
    sinh,
    tan,
    tanh,
)
from tapem.seeing.debugging import debug, debug_mode, explain
from tapem.tangents import (
    NO_FIELDS,
    Composite,
    DoesNotExist,
    InplaceableThunk,
    NoTangent,
    One,
    Thunk,
    Zero,
    ZeroTangent,
    canonicalize,
    extern,
    thunk,
    unthunk,
)
from tapem.training.fitting import Best, FitState, Fitted, fit
from tapem.training.memory import keep_freed_memory as _keep_freed_memory
from tapem.training.raveling import ravel
from tapem.training.saving import load, save
from tapem.transforms.control import checkpoint, cond, eval_shape, fori_loop, scan, while_loop
from tapem.transforms.custom import custom_jvp, custom_vjp, detach, no_grad, stop_gradient
from tapem.transforms.derivatives import grad, jvp, linearize, value_and_grad, vjp
from tapem.transforms.jacobians import hessian, hvp, jacfwd, jacobian, jacrev
from tapem.transforms.rules import defbatch, deffrule, defrrule, frule, rrule, scalar_rule
from tapem.transforms.vectorize import vmap
from tapem.types.signature import Tensor

__all__ = [
    "NO_FIELDS", "ArgumentError", "Best", "Composite", "ConcretizationError", "DTypeError", "Declaration",
    "DoesNotExist", "Err", "EscapedTracerError", "FieldError", "FileFormatError", "FitState", "Fitted", "Gradients",
    "InplaceableThunk", "MissingGradientError", "MutationError", "NoRuleError", "NoTangent", "Node", "NonFiniteError",
    "NotScalarError", "Ok", "One", "Primitive", "Ref", "ShapeDtype", "ShapeError", "StepError", "TangentError", "Tape",
    "TapeError", "TapeM", "Tensor", "Thunk", "TreeError", "UnknownRefError", "Zero", "ZeroTangent", "abs", "add",
    "all", "all_mapped", "any", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax",
    "argmin", "argsort", "astype", "backward", "backward_scalar", "bitwise_and", "bitwise_not", "bitwise_or",
    "bitwise_xor", "bmm", "broadcast_to", "canonicalize", "cbrt", "ceil", "checkpoint", "cholesky", "clamp", "concat",
    "concat_vectors", "cond", "const", "copysign", "cos", "cosh", "count_nonzero", "cumprod", "cumsum", "custom_jvp",
    "custom_vjp", "debug", "debug_mode", "defbatch", "deffrule", "defrrule", "deg2rad", "det", "detach", "diag",
    "diagonal", "div", "do", "dot", "eigh", "eigvalsh", "einsum", "elementwise", "elu", "equal", "erf", "eval_shape",
    "exp", "exp2", "expand_dims", "explain", "expm1", "extern", "fabs", "fail", "fit", "flatten", "flip", "floor",
    "floor_divide", "fmax", "fmin", "fmod", "fold", "fori_loop", "frule", "gelu", "get_tape", "getitem", "grad",
    "greater", "greater_equal", "heaviside", "hessian", "hvp", "hypot", "identity", "inner", "inv", "isclose",
    "isfinite", "isinf", "isnan", "jacfwd", "jacobian", "jacrev", "jvp", "kron", "leaf", "leaky_relu", "less",
    "less_equal", "lift", "linalg_inv", "linearize", "load", "log", "log1p", "log2", "log10", "log_softmax",
    "logaddexp", "logaddexp2", "logical_and", "logical_not", "logical_or", "logical_xor", "logsumexp", "matmul", "max",
    "maximum", "mean", "min", "minimum", "model", "moveaxis", "mul", "neg", "no_grad", "norm", "not_equal", "optim",
    "outer", "pad", "param", "power", "primitive", "prod", "pure", "qr", "rad2deg", "random", "ravel", "reciprocal",
    "relu", "remainder", "repeat", "reshape", "rint", "roll", "round", "rrule", "safe_log", "save", "scalar_rule",
    "scale", "scan", "scatter_add", "scatter_set", "sequence", "set_tape", "sigmoid", "sign", "signbit", "silu", "sin",
    "sinc", "sinh", "slogdet", "softmax", "softplus", "solve", "sort", "split", "sqrt", "square", "squeeze", "stack",
    "std", "stop_gradient", "sub", "sum", "svd", "svdvals", "swapaxes", "take", "take_along_axis", "tan", "tanh",
    "tensordot", "testing", "thunk", "tile", "trace", "transpose", "traverse", "tree_flatten", "tree_leaves",
    "tree_map", "tree_unflatten", "tril", "triu", "trunc", "unthunk", "value_and_grad", "var", "vdot", "vjp", "vmap",
    "where", "while_loop",
]  # fmt: skip

_keep_freed_memory()


def __dir__() -> list[str]:
    """The public names: what else stands here is how Python holds the modules of a package."""
    return __all__
