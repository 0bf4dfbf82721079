"""Hints for errors: what to write in tapem for a name of another library."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

ATTRIBUTES: Mapping[str, str] = {
    "numpy": "A gradient flows through a tracer, so there is no array in it; a plain one, cut off, is tm.detach(x).",
    "data": "A plain array, cut off from the gradient, is tm.detach(x).",
    "values": "A plain array, cut off from the gradient, is tm.detach(x).",
    "detach": "Write tm.detach(x).",
    "stop_gradient": "Write tm.detach(x).",
    "cpu": "Every value is in the memory of the CPU: leave it out.",
    "block_until_ready": "Every value is ready: leave it out.",
    "at": "Write tm.scatter_set(x, indices, values, axis) for x.at[i].set(values), tm.scatter_add for .add(values).",
    "backward": "Derivatives are functions of functions: write tm.grad(f)(x), where f returns the loss.",
    "grad": "Derivatives are functions of functions: write tm.grad(f)(x), where f returns the loss.",
    "requires_grad": "Every tracer is differentiated; what is not, is tm.detach(x).",
    "requires_grad_": "Every tracer is differentiated; what is not, is tm.detach(x).",
    "view": "Write x.reshape(shape) for another shape, x.astype(dtype) for another dtype.",
    "view_as": "Write x.reshape(y.shape).",
    "permute": "Write np.transpose(x, axes).",
    "t": "Write x.T.",
    "unsqueeze": "Write np.expand_dims(x, axis).",
    "expand": "Write np.broadcast_to(x, shape).",
    "to": "Write x.astype(dtype).",
    "type": "Write x.astype(dtype).",
    "float": "Write x.astype(np.float32).",
    "double": "Write x.astype(np.float64).",
    "half": "Write x.astype(np.float16).",
    "long": "Write tm.detach(x).astype(np.int64).",
    "dim": "Write x.ndim.",
    "numel": "Write x.size.",
    "contiguous": "Leave it out.",
    "clone": "A tracer is immutable, so no copy is needed: leave it out.",
    "mm": "Write x @ y.",
    "bmm": "Write x @ y.",
    "matmul": "Write x @ y.",
    "pow": "Write x ** y.",
    "cat": "Write np.concatenate([x, y], axis).",
    **{name: f"Write np.{name}(x)." for name in ("exp", "log", "sqrt", "abs", "sin", "cos", "tanh")},
    "norm": "Write np.linalg.norm(x).",
    **{name: f"Write tm.{name}(x)." for name in ("sigmoid", "relu", "softmax", "log_softmax", "logsumexp", "erf")},
}
"""What to write instead of an attribute that torch's or JAX's arrays have and a tracer does not."""

_ARGUMENTS: Mapping[str, str] = {"dim": "axis", "dims": "axis", "keepdim": "keepdims"}

_SCIPY: Mapping[str, str] = {
    "expit": "tm.sigmoid(x)",
    "log_expit": "-tm.softplus(-x)",
    "logit": "np.log(x) - np.log1p(-x)",
    "erf": "tm.erf(x)",
    "erfc": "1 - tm.erf(x)",
    "ndtr": "0.5 * (1 + tm.erf(x / np.sqrt(2)))",
    "xlogy": "np.where(x == 0, 0, x * np.log(np.where(x == 0, 1, y)))",
    "exp2": "np.exp2(x)",
    "exp10": "np.exp(x * np.log(10))",
    "cbrt": "np.cbrt(x)",
    "expm1": "np.expm1(x)",
    "log1p": "np.log1p(x)",
    **{name: f"tm.{name}(x)" for name in ("logsumexp", "softmax", "log_softmax")},
    "polygamma": "tm.polygamma(x, n)",
}

_LINALG: Mapping[str, str] = {
    "solve_triangular": "tm.solve_triangular(a, b, trans, lower, unit_diagonal)",
    "cho_solve": "tm.cho_solve(c, b, lower=lower)",
    "expm": "tm.expm(a)",
    "cholesky": "np.linalg.cholesky(a, upper=not lower)",
    "lstsq": "np.linalg.lstsq(a, b)",
    **{
        name: f"np.linalg.{name}(a)"
        for name in ("inv", "det", "pinv", "eigh", "eigvalsh", "eig", "eigvals", "norm", "qr")
    },
    "solve": "np.linalg.solve(a, b)",
    "svd": "np.linalg.svd(a, full_matrices)",
    "svdvals": "np.linalg.svdvals(a)",
}

_DATES = "nothing: dates have no derivative; pass plain ones"
_NUMPY: Mapping[str, str] = {
    "real_if_close": "np.real(x)",
    "savetxt": "np.savetxt(path, tm.detach(x))",
    **dict.fromkeys(["save", "savez", "savez_compressed"], "tm.save(path, tree)"),
    **dict.fromkeys(["busday_count", "busday_offset", "is_busday", "datetime_as_string", "isnat"], _DATES),
}


def instead(name: str) -> str:
    """What to write for a function that has no rule in tapem; "" if nothing is known.

    >>> instead("scipy.special.expit")
    'tm.sigmoid(x)'
    """
    library, _, function = name.rpartition(".")
    return {"scipy.special": _SCIPY, "scipy.linalg": _LINALG, "np": _NUMPY}.get(library, {}).get(function, "")


def scipys(ufunc: np.ufunc) -> bool:
    """Whether a ufunc is SciPy's. This does not import SciPy, since its ufuncs exist only after its import.

    >>> scipys(np.sin)
    False
    """
    special: Any = sys.modules.get("scipy.special")
    return getattr(special, ufunc.__name__, None) is ufunc and getattr(np, ufunc.__name__, None) is not ufunc


def add_hint(error: Exception) -> None:
    """Add a note with NumPy's name of the argument to an error that names an argument as torch does."""
    if isinstance(error, TypeError):
        for name in re.findall(r"argument '(\w+)'", str(error)):
            if name in _ARGUMENTS:
                note(error, f"NumPy and tapem write {_ARGUMENTS[name]}= for {name}=.")


def note(error: Exception, text: str) -> None:
    """Add a note to an error that does not have it yet."""
    if text not in getattr(error, "__notes__", ()):
        error.add_note(text)
