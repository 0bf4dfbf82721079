"""The mistakes in rules that the table of ops does not notice, each with its reason.

Most are equivalent: what is computed is the same. Whoever changes a rule may have to change its reasons; the slow test
compares this table with what survives.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from tapem.testing import Mutant


class Key(NamedTuple):
    """What mistakes are known by: the first op that has them, their kind, and the source before; `*` stands for any."""

    op: str
    kind: str
    before: str
    after: str = "*"

    def fits(self, mutant: Mutant) -> bool:
        """Whether a mistake is one of these."""
        given = (mutant.op.name, mutant.kind, mutant.before, mutant.after)
        return all(part in ("*", own) or fnmatchcase(own, part) for part, own in zip(self, given, strict=True))


SECOND = "second order only"
EQUIVALENT: Mapping[str, tuple[Key, ...]] = {
    "the sweep undoes broadcasting and rounds to the dtype of the operand; the rule only does it earlier": (
        Key("sub", "missing unbroadcast", "unbroadcast(g, g.shape, np.shape(b))"),
        Key("cast", "wrong dtype", "?"),
        Key("rotary_embedding", "missing unbroadcast", "np.broadcast_to(t, y.shape[[]:-1])"),
    ),
    "the product with values of the wider dtype is in it anyway, and the sweep rounds the result": tuple(
        Key(name, "wrong dtype", f"as_dtype({part}.dtype)")
        for name, part in [
            *(("group_norm", part) for part in ("g.reshape(values.shape), values", "t, values", "shift, y")),
            *(("batch_norm", part) for part in ("g.reshape(values.shape), values", "g, values")),
            ("batch_norm_inference", "np.reshape(g, values.shape), values"),
            *(("batch_norm", part) for part in ("t.reshape(values.shape), values", "shift, y")),
        ]
    ),
    "this way is for arrays alone, which nobody differentiates": (
        Key("gelu", "detach", "slope"),
        Key("max", "detach", "InplaceableThunk(*"),
        Key("max_pool", "detach", "_to_winners(*"),
        Key("conv*", "detach", "kernel_gradient(*"),
        Key("conv*", "detach", "bias_gradient(*"),
        Key("conv*", "detach", "correlate_transposed(*"),
        Key("conv*", SECOND, "kept"),
    ),
    "what follows adds the adjoint and reads the real diagonal, so the adjoint of it gives the same": (
        Key("cholesky", "transposed", "adjoint(solve(adjoint(y), adjoint(half)))"),
    ),
    "this op reads the lower triangle alone; the rows of eigh with the upper one notice it": (
        Key("cholesky", "transposed", "mask.T"),
    ),
    "only the order, a count, a shape or the truth of it is used": (
        Key("sort", SECOND, "x"),
        Key("concat", SECOND, "argument 2"),
        Key("where", SECOND, "condition"),
        Key("dropout", SECOND, "keep"),
        Key("cross_entropy", SECOND, "residuals"),
    ),
    "beside integer parameters SciPy computes in double precision, so nothing is less precise": tuple(
        Key(name, "wrong dtype", "*g*")
        for name in (
            *("expn", "gammainc", "gammaincc", "gammaincinv", "gammainccinv"),
            *("betainc", "betaincc", "betaincinv", "yn", "kn"),
        )
    ),
    "complex numbers are ordered by their real parts": (
        Key("power", "dropped conjugate", "np.real(b)"),
        Key("rgamma", "dropped conjugate", "np.real(x)"),
    ),
    "the chosen elements are real, and any real one serves": (
        Key("eig", "dropped conjugate", "np.real(v)"),
        Key("eig", "dropped function", "np.abs(v)"),
    ),
    "a conversion to a real dtype drops the imaginary part too": (
        Key("fft_hfft", "dropped conjugate", "np.real(found)"),
    ),
    "then the general way is taken, which gives the same": (
        Key("getitem", "dropped term", "len(at.parts) - 1", "len(at.parts)"),
        Key("getitem", "[!d]*", "len(at.parts) - 1"),
    ),
    "no rule of this op reads the upper triangle; those of eigh do, and rows with UPLO try them": (
        Key("cholesky", "transposed", "mask.T"),
    ),
    "a matrix and its adjoint fold to the same": (
        Key("cholesky", "transposed", "adjoint(solve(adjoint(y), adjoint(half)))"),
    ),
    "nothing divided by anything is nothing": (
        Key("std", "sign", "y + (1 - some)"),
        Key("std", "swapped operands", "1 - some"),
    ),
    "K is even in its order, and so is what belongs to it": tuple(
        Key(name, "swapped operands", "[nv] - 1.0") for name in ("kn", "kv", "kve")
    ),
    "the same axis under another number, or one of size 1 too many or too few in front": (
        Key("kron", "swapped operands", "1 - position"),
        Key("kron", "*", "rank - len(shape)"),
        Key("dot", "dropped term", "rank_a - 1", "-1"),
        Key("inner", "dropped term", "rank_[ab] - 1", "-1"),
    ),
    "the same but for how the result lies in memory": (Key("max_pool", "dropped factor", "x.itemsize * stride"),),
    "softmax ignores any shift, and y is detached already": (
        Key("smooth_max_pool", SECOND, "y"),
        Key("smooth_max_pool", "sign", "windows_of(*"),
        Key("smooth_max_pool", "dropped term", "windows_of(*", "windows_of(*"),
    ),
}

"""Mistakes that are none: what is computed is the same."""

BEYOND: Mapping[str, tuple[Key, ...]] = {
    "it differs at kinks alone (ties, zeros, equal elements), where no difference is a judge": (
        Key("std", "dropped factor", "differs(x, axis=axis) * (y != 0)", "differs(*"),
        Key("std", "dropped factor", "some * _centered(x, axis, ddof)", "_centered(*"),
        Key("bce", "sign", "1 - max(limits.epsneg, _LEAST)"),
        Key("bce", "dropped term", "1 - max(limits.epsneg, _LEAST)", "1"),
    ),
    "what differs is NaN that a mask takes out, or overflow in float16 that other tests have": (
        Key("power", "dropped function", "np.abs(a)"),
        Key("bce", "wrong dtype", "terms.astype(np.float32)"),
    ),
    "NumPy deprecates sizes for fewer axes than there are without naming them, so no row has that": (
        Key("fft_fft", "swapped operands", "rank - (rank if s is None else len(s))"),
    ),
    "second derivatives in float32, which the sweep refuses aloud; rows try them in float64": (
        Key("conv", "wrong dtype", "_bias_cotangent(*"),
    ),
    "a term of a series that is too small at any x that the series is for": (
        Key("exprel", "sign", "1 / 8 + *"),
        Key("exprel", "dropped term", "1 / 8 + *", "1 / 8"),
        Key("exprel", "dropped factor", "x [*] (1 / 30*"),
        Key("exprel", "dropped factor", "x [*] (1 / 144*"),
        Key("exprel", "*", "1 / 30 + *"),
        Key("exprel", "dropped factor", "1 / 30"),
        Key("exprel", "*", "1 / 144*"),
        Key("exprel", "dropped factor", "x / 840"),
    ),
}
"""Mistakes that the table does not notice."""

REASONS: Mapping[str, tuple[Key, ...]] = {**EQUIVALENT, **BEYOND}


def reason_of(mutant: Mutant) -> str | None:
    """Why a mistake may not be noticed; None if it must be."""
    return next((reason for reason, keys in REASONS.items() if any(key.fits(mutant) for key in keys)), None)
