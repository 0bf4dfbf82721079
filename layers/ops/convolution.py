"""Convolution in any number of dimensions: `conv`, `conv_transpose`, and the gradient of a kernel.

The three ops are closed under differentiation. Each is linear in the kernel and in the input. The gradient of a
convolution with respect to its input is the transposed convolution of the cotangent; that of a transposed convolution
is a convolution; and the gradients of the kernel's gradient are the other two. So every rule below is another op, and
derivatives of any order need nothing else.

All are cross-correlations, as in every library for neural networks: the kernel is not flipped. Operands and results
have the axes (*batch, channels, *spatial), but the results lie in memory in the order of the computation, (rows,
channels, *columns, examples): see unfolding.py. NumPy keeps that order in later ops, so the next convolution needs no
transposed copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from layers.ops.arrays import are_arrays
from layers.ops.plan import Plan, conv_plan, conv_transpose_plan, gradient_plan
from layers.ops.unfolding import bias_gradient, correlate, correlate_transposed, kernel_gradient
from layers.ops.windows import Padding, PerAxis, Sizes, geometry
from tapem import ShapeDtype, ShapeError, Tensor, primitive


def usage(name: str) -> str:
    """The name of the op with its arguments, as its errors show it."""
    return f"{name}(kernel, bias, x)"


# Rules ----------------------------------------------------------------------------------------------------------------


def _bias_cotangent(g: Any, axes: int) -> Any:
    """The sum over everything but the channels."""
    channel = g.ndim - axes - 1
    return np.sum(g, axis=tuple(axis for axis in range(g.ndim) if axis != channel))


def _bias_tangent(t: Any, y: Any, axes: int) -> Any:
    return np.broadcast_to(np.reshape(t, (*t.shape, *(1,) * axes)), y.shape)


def convolved(
    name: str, kernel: Any, bias: Any, x: Any, *, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    """The value of the convolution of this name, and its residuals."""
    plan = conv_plan(usage(name), np.shape(kernel), np.shape(x), stride, padding, dilation, groups)
    if not (are_arrays(kernel, x) and (bias is None or type(bias) is np.ndarray)):
        return None, None  # a recorded sweep asks for the residuals, but rules on tracers use none
    return correlate(kernel, bias, x, plan)


def convolved_back(
    name: str,
    kernel: Any,
    bias: Any,
    x: Any,
    *,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: Any,
) -> Any:
    """The value of the transposed convolution of this name."""
    arguments = (stride, padding, output_padding, dilation, groups)
    plan = conv_transpose_plan(usage(name), np.shape(kernel), np.shape(x), *arguments)
    _check_bias(name, bias, plan)
    return correlate_transposed(kernel, bias, x, plan)


def _check_bias(name: str, bias: Any, plan: Plan) -> None:
    # The signature cannot check this: the number of output channels depends on the groups.
    channels = plan.groups * plan.channels
    if bias is not None and ShapeDtype.of(bias).shape != (channels,):
        shape = ShapeDtype.of(bias).shape
        raise ShapeError(f"{usage(name)}: bias has the shape {shape}, but {channels} channels come out: {(channels,)}.")


def _pull_kernel(
    g: Any, y: Any, kept: Any, kernel: Any, bias: Any, x: Any, *, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    plan = conv_plan("conv", kernel.shape, x.shape, stride, padding, dilation, groups)
    if are_arrays(x, g):
        return kernel_gradient(x, g, plan, kept if type(kept) is np.ndarray else None)
    at = plan.given
    return conv_kernel_gradient(
        x, g, kernel_size=at.kernel, stride=at.stride, padding=at.padding, dilation=at.dilation, groups=groups
    )


def _pull_bias(
    g: Any, y: Any, kept: Any, kernel: Any, bias: Any, x: Any, *, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    if type(g) is np.ndarray:
        return bias_gradient(g, conv_plan("conv", kernel.shape, x.shape, stride, padding, dilation, groups))
    return _bias_cotangent(g, kernel.ndim - 2)


def _pull_input(
    g: Any, y: Any, kept: Any, kernel: Any, bias: Any, x: Any, *, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    plan = conv_plan("conv", kernel.shape, x.shape, stride, padding, dilation, groups)
    if are_arrays(kernel, g):
        return correlate_transposed(kernel, None, g, plan)
    at = plan.given
    return conv_transpose(
        kernel,
        None,
        g,
        stride=at.stride,
        padding=at.padding,
        output_padding=at.rest,
        dilation=at.dilation,
        groups=groups,
    )


def _pull_kernel_of_transpose(
    g: Any, y: Any, kernel: Any, bias: Any, x: Any, *, output_padding: Any, groups: Any, **static: Any
) -> Any:
    # A convolution maps the result of the transposed convolution to x, so the two operands trade places.
    return conv_kernel_gradient(g, x, kernel_size=kernel.shape[2:], groups=groups, **static)


def _into_channels(x: Any, axis: int, groups: int) -> Any:
    """Move the batch axis, which is the first, into the channels on `axis`, within each of the groups."""
    size, shape = x.shape[0], x.shape[1:]
    split = np.reshape(x, (size, *shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :]))
    return np.reshape(np.moveaxis(split, 0, axis + 1), (*shape[:axis], size * shape[axis], *shape[axis + 1 :]))


def _out_of_channels(y: Any, axis: int, groups: int, size: int) -> Any:
    """The inverse of `_into_channels`."""
    shape = y.shape
    channels = shape[axis] // size
    split = np.reshape(y, (*shape[:axis], groups, size, channels // groups, *shape[axis + 1 :]))
    return np.reshape(np.moveaxis(split, axis + 1, 0), (size, *shape[:axis], channels, *shape[axis + 1 :]))


def _of_no_examples(op: Any, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    """The result for a batch of size 0, which no number of groups can compute."""
    pairs = zip(inputs, mapped, strict=True)
    kinds = tuple(None if x is None else ShapeDtype(x.shape[is_mapped:], x.dtype) for x, is_mapped in pairs)
    kind = op.abstract_rule(*kinds, **static)
    return np.zeros((0, *kind.shape), kind.dtype)


def _batch(
    op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any], *, transposed: bool
) -> Any:
    """Mapped inputs become examples; mapped kernels become channels, in groups if the inputs are mapped too."""
    if size == 0:
        return _of_no_examples(op, inputs, mapped, static)
    kernel, bias, x = inputs
    axes, groups = kernel.ndim - 2 - mapped[0], static["groups"]
    batch = x.ndim - mapped[2] - axes - 1
    if not mapped[0]:
        if not mapped[1]:
            return op(kernel, bias, x, **static)
        return op(kernel, None, x, **static) + np.reshape(bias, (size, *(1,) * batch, bias.shape[1], *(1,) * axes))
    shared = groups if not mapped[2] else 1
    if bias is not None:
        bias = _into_channels(bias if mapped[1] else np.broadcast_to(bias, (size, *bias.shape)), 0, shared)
    if mapped[2]:
        x = _into_channels(x, batch, 1)
        kernel, groups = _into_channels(kernel, 0, 1), size * groups
    else:
        kernel = _into_channels(kernel, 1, 1) if transposed else _into_channels(kernel, 0, groups)
    y = op(kernel, bias, x, **{**static, "groups": groups})
    return _out_of_channels(y, batch, shared, size)


def _batch_kernel_gradient(
    op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    if size == 0:
        return _of_no_examples(op, inputs, mapped, static)
    x, g = inputs
    axes, groups = len(static["kernel_size"]), static["groups"]
    shared = groups if not all(mapped) else 1
    if mapped[0]:
        x = _into_channels(x, x.ndim - axes - 2, shared)
    if mapped[1]:
        g = _into_channels(g, g.ndim - axes - 2, shared)
    kernel = op(x, g, **{**static, "groups": size * groups if all(mapped) else groups})
    return _out_of_channels(kernel, 0, shared, size) if mapped[1] else _out_of_channels(kernel, 1, 1, size)


def _abstract_conv(name: str) -> Any:
    def abstract(
        kernel: Any, bias: Any, x: Any, *, stride: Any, padding: Any, dilation: Any, groups: Any
    ) -> ShapeDtype:
        shapes = ShapeDtype.of(kernel).shape, ShapeDtype.of(x).shape
        plan = conv_plan(usage(name), *shapes, stride, padding, dilation, groups)
        return ShapeDtype((*plan.batch, shapes[0][0], *plan.given.out), _common_dtype(kernel, bias, x))

    return abstract


def _abstract_conv_transpose(name: str) -> Any:
    def abstract(
        kernel: Any, bias: Any, x: Any, *, stride: Any, padding: Any, output_padding: Any, dilation: Any, groups: Any
    ) -> ShapeDtype:
        shapes = ShapeDtype.of(kernel).shape, ShapeDtype.of(x).shape
        plan = conv_transpose_plan(usage(name), *shapes, stride, padding, output_padding, dilation, groups)
        _check_bias(name, bias, plan)
        return ShapeDtype((*plan.batch, shapes[0][1] * groups, *plan.given.size), _common_dtype(kernel, bias, x))

    return abstract


def _abstract_kernel_gradient(
    x: Any, cotangent: Any, *, kernel_size: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> ShapeDtype:
    shapes = ShapeDtype.of(x).shape, ShapeDtype.of(cotangent).shape
    plan = gradient_plan("conv_kernel_gradient(x, cotangent)", *shapes, kernel_size, stride, padding, dilation, groups)
    return ShapeDtype((groups * plan.out, plan.channels, *kernel_size), _common_dtype(x, cotangent))


def _common_dtype(*values: Any) -> Any:
    return np.result_type(*(ShapeDtype.of(value).dtype for value in values if value is not None))


def conv_rules(name: str) -> dict[str, Any]:
    """The rules of the convolution of this name."""
    return {
        "rrule": (
            _pull_kernel,
            _pull_bias,
            _pull_input,
        ),
        "frule": (
            lambda t, y, kept, kernel, bias, x, **static: conv(t, None, x, **static),
            lambda t, y, kept, kernel, bias, x, **static: _bias_tangent(t, y, kernel.ndim - 2),
            lambda t, y, kept, kernel, bias, x, **static: conv(kernel, None, t, **static),
        ),
        "batch": lambda *arguments: _batch(*arguments, transposed=False),
        "abstract": _abstract_conv(name),
        "residuals": True,
        "opaque": True,
    }


def conv_transpose_rules(name: str) -> dict[str, Any]:
    """The rules of the transposed convolution of this name."""
    return {
        "rrule": (
            _pull_kernel_of_transpose,
            lambda g, y, kernel, bias, x, **_: _bias_cotangent(g, kernel.ndim - 2),
            lambda g, y, kernel, bias, x, output_padding, **static: conv(kernel, None, g, **static),
        ),
        "frule": (
            lambda t, y, kernel, bias, x, **static: conv_transpose(t, None, x, **static),
            lambda t, y, kernel, bias, x, **static: _bias_tangent(t, y, kernel.ndim - 2),
            lambda t, y, kernel, bias, x, **static: conv_transpose(kernel, None, t, **static),
        ),
        "opaque": True,
        "batch": lambda *arguments: _batch(*arguments, transposed=True),
        "abstract": _abstract_conv_transpose(name),
    }


# The ops --------------------------------------------------------------------------------------------------------------


@primitive(**conv_rules("conv"))
def conv(
    kernel: Float[Tensor, "out in_per_group *taps"],
    bias: Float[Tensor, "out"] | None,
    x: Float[Tensor, "..."],
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Float[Tensor, "..."]:
    """The convolution (cross-correlation) of x with a kernel, whose taps give the number of spatial axes.

    Float "out in/groups *taps", Float "out" (or None), Float "*batch in *spatial" -> Float "*batch out *positions".

    - `stride`: the distance between positions, `dilation` that between taps: one integer, or one for each spatial axis.
    - `padding`: the number of zeros around x: one integer, one for each axis, or one pair (before, after) for each;
      "valid" for no zeros; "same" for as many as make the result ceil(n / stride) long, with an odd one at the end, as
      in TensorFlow and JAX. PyTorch has "same" only for a stride of 1, and agrees there.
    - `groups`: the number of groups of channels; each output depends only on the inputs of its own group.

    Raises ShapeError where axes or channels do not fit, or where the kernel spans more than the padded input;
    ArgumentError for a stride or dilation below 1, a negative padding, or groups that do not divide the channels.

    >>> kernel = np.array([[[-1.0, 1.0]]])
    >>> conv(kernel, None, np.array([[1.0, 2.0, 4.0, 8.0]]))
    array([[1., 2., 4.]])
    >>> conv(kernel, np.array([0.5]), np.array([[1.0, 2.0, 4.0, 8.0]]), stride=2, padding=1)
    array([[ 1.5,  2.5, -7.5]])
    """
    return convolved("conv", kernel, bias, x, stride=stride, padding=padding, dilation=dilation, groups=groups)


@primitive(**conv_transpose_rules("conv_transpose"))
def conv_transpose(
    kernel: Float[Tensor, "in out_per_group *taps"],
    bias: Float[Tensor, "out"] | None,
    x: Float[Tensor, "..."],
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Float[Tensor, "..."]:
    """The transposed convolution: the linear map that pulls a cotangent of `conv` with this kernel back to its input.

    Float "in out/groups *taps", Float "out" (or None), Float "*batch in *spatial" -> Float "*batch out *size", where
    size is (n - 1) stride + dilation (taps - 1) + 1 - padding before - padding after + output_padding.

    The arguments are those of `conv`. `conv` maps several sizes to the size of x; `output_padding`, which is smaller
    than the stride, selects one of them.

    Raises ShapeError where axes or channels do not fit, or where the padding exceeds the result; ArgumentError
    for a stride or dilation below 1, a negative or named padding, an output_padding that is not smaller than the
    stride, or groups that do not divide the channels.

    >>> kernel = np.array([[[1.0, 2.0, 3.0]]])
    >>> conv_transpose(kernel, None, np.array([[1.0, 10.0]]), stride=2)
    array([[ 1.,  2., 13., 20., 30.]])
    """
    return convolved_back(
        "conv_transpose",
        kernel,
        bias,
        x,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        groups=groups,
    )


def _pull_x_of_gradient(g: Any, y: Any, x: Any, cotangent: Any, *, kernel_size: Any, **static: Any) -> Any:
    at = geometry(
        "conv", x.shape[-len(kernel_size) :], kernel_size, *map(static.get, ("stride", "padding", "dilation"))
    )
    options: dict[str, Any] = {**static, "padding": at.padding, "output_padding": at.rest}
    return conv_transpose(g, None, cotangent, **options)


def _push_of_x(t: Any, y: Any, x: Any, cotangent: Any, **static: Any) -> Any:
    return conv_kernel_gradient(t, cotangent, **static)


def _push_of_cotangent(t: Any, y: Any, x: Any, cotangent: Any, **static: Any) -> Any:
    return conv_kernel_gradient(x, t, **static)


@primitive(
    rrule=(
        _pull_x_of_gradient,
        lambda g, y, x, cotangent, kernel_size, **static: conv(g, None, x, **static),
    ),
    frule=(_push_of_x, _push_of_cotangent),
    batch=_batch_kernel_gradient,
    abstract=_abstract_kernel_gradient,
)
def conv_kernel_gradient(
    x: Float[Tensor, "..."],
    cotangent: Float[Tensor, "..."],
    *,
    kernel_size: Sizes,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Float[Tensor, "out in_per_group *taps"]:
    """The gradient of `conv` with respect to its kernel, from the cotangent of its result.

    Float "*batch in *spatial", Float "*batch out *positions" -> Float "out in/groups *taps".

    >>> conv_kernel_gradient(np.array([[1.0, 2.0, 4.0]]), np.array([[1.0, 10.0]]), kernel_size=(2,))
    array([[[21., 42.]]])
    """
    arguments = (kernel_size, stride, padding, dilation, groups)
    plan = gradient_plan("conv_kernel_gradient(x, cotangent)", np.shape(x), np.shape(cotangent), *arguments)
    return kernel_gradient(x, cotangent, plan)


__all__ = ["conv", "conv_kernel_gradient", "conv_transpose"]
