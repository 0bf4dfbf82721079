"""The ops, by family: each op is one declaration with its rules.

The folder `numpy` makes NumPy's other functions from them.
"""

from tapem.ops import numpy
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
from tapem.ops.complex_numbers import angle, conj, from_parts, imag, real
from tapem.ops.convolving import convolve, correlate
from tapem.ops.cumulative import cumprod, cumsum, partition_axis, sort
from tapem.ops.declare import (
    Declaration,
    Deferred,
    Numeric,
    Operand,
    Step,
    batch_elementwise,
    declare,
    elementwise,
    primitive,
)
from tapem.ops.decompositions import cholesky, qr
from tapem.ops.diagonals import diag, diagonal, trace, tril, triu
from tapem.ops.eigen import eig, eigvals
from tapem.ops.einsum import einsum
from tapem.ops.exponential import cbrt, exp, exp2, expm1, log, log1p, log2, log10, logaddexp, logaddexp2, safe_log
from tapem.ops.floating import frexp, ldexp, modf, nextafter, spacing
from tapem.ops.fourier import (
    fft_fft,
    fft_fft2,
    fft_fftn,
    fft_fftshift,
    fft_hfft,
    fft_ifft,
    fft_ifft2,
    fft_ifftn,
    fft_ifftshift,
    fft_ihfft,
    fft_irfft,
    fft_irfft2,
    fft_irfftn,
    fft_rfft,
    fft_rfft2,
    fft_rfftn,
)
from tapem.ops.index import ARRAY, NEW, Index
from tapem.ops.indexing import gather, getitem, scatter_add, scatter_set, take, take_along_axis
from tapem.ops.integers import (
    bitwise_and,
    bitwise_count,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    gcd,
    lcm,
    left_shift,
    right_shift,
)
from tapem.ops.joining import concat, concat_arrays, concat_vectors, split, stack, stack_arrays
from tapem.ops.kronecker import kron
from tapem.ops.linalg import bmm, dot, inner, matmul, outer, tensordot, vdot
from tapem.ops.matrix_functions import cho_solve, expm, solve_triangular
from tapem.ops.norms import norm
from tapem.ops.padding import pad
from tapem.ops.polygamma import polygamma
from tapem.ops.pseudo_inverse import pinv
from tapem.ops.reductions import logsumexp, max, mean, min, prod, std, sum, var
from tapem.ops.searching import all, any, argmax, argmin, argpartition, argsort, count_nonzero
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

__all__ = [
    "ARRAY", "NEW", "Declaration", "Deferred", "Index", "Numeric", "Operand", "Step", "abs", "add", "all",
    "all_mapped", "angle", "any", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax",
    "argmin", "argpartition", "argsort", "astype", "batch_elementwise", "bitwise_and", "bitwise_count", "bitwise_not",
    "bitwise_or", "bitwise_xor", "bmm", "broadcast_to", "cbrt", "ceil", "cho_solve", "cholesky", "clamp", "concat",
    "concat_arrays", "concat_vectors", "conj", "convolve", "copysign", "correlate", "cos", "cosh", "count_nonzero",
    "cumprod", "cumsum", "declare", "deg2rad", "det", "diag", "diagonal", "div", "dot", "eig", "eigh", "eigvals",
    "eigvalsh", "einsum", "elementwise", "elu", "equal", "erf", "exp", "exp2", "expand_dims", "expm", "expm1", "fabs",
    "fft_fft", "fft_fft2", "fft_fftn", "fft_fftshift", "fft_hfft", "fft_ifft", "fft_ifft2", "fft_ifftn",
    "fft_ifftshift", "fft_ihfft", "fft_irfft", "fft_irfft2", "fft_irfftn", "fft_rfft", "fft_rfft2", "fft_rfftn",
    "flatten", "flip", "floor", "floor_divide", "fmax", "fmin", "fmod", "frexp", "from_parts", "gather", "gcd", "gelu",
    "getitem", "greater", "greater_equal", "heaviside", "hypot", "identity", "imag", "inner", "inv", "isclose",
    "isfinite", "isinf", "isnan", "kron", "lcm", "ldexp", "leaky_relu", "left_shift", "less", "less_equal",
    "linalg_inv", "log", "log1p", "log2", "log10", "log_softmax", "logaddexp", "logaddexp2", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logsumexp", "matmul", "max", "maximum", "mean", "min", "minimum",
    "modf", "moveaxis", "mul", "neg", "nextafter", "norm", "not_equal", "numpy", "outer", "pad", "partition_axis",
    "pinv", "polygamma", "power", "primitive", "prod", "qr", "rad2deg", "real", "reciprocal", "relu", "remainder",
    "repeat", "reshape", "right_shift", "rint", "roll", "round", "safe_log", "scale", "scatter_add", "scatter_set",
    "sigmoid", "sign", "signbit", "silu", "sin", "sinc", "sinh", "slogdet", "softmax", "softplus", "solve",
    "solve_triangular", "sort", "spacing", "split", "sqrt", "square", "squeeze", "stack", "stack_arrays", "std", "sub",
    "sum", "svd", "svdvals", "swapaxes", "take", "take_along_axis", "tan", "tanh", "tensordot", "tile", "trace",
    "transpose", "tril", "triu", "trunc", "var", "vdot", "where",
]  # fmt: skip
