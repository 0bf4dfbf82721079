"""Transforms: derivatives, batching, custom rules and control flow, each a fold over a trace."""

from tapem.transforms.arguments import as_function
from tapem.transforms.branching import Cond, While
from tapem.transforms.by_example import apart as by_example_function
from tapem.transforms.by_example import by_example
from tapem.transforms.calls import call
from tapem.transforms.closure_conversion import traced
from tapem.transforms.composed import composed
from tapem.transforms.control import checkpoint, cond, eval_shape, fori_loop, scan, while_loop
from tapem.transforms.custom import custom_jvp, custom_vjp, detach, no_grad, stop_gradient
from tapem.transforms.custom_call import custom_call
from tapem.transforms.derivatives import differentiable, grad, jvp, linearize, value_and_grad, vjp
from tapem.transforms.jacobians import hessian, hvp, jacfwd, jacobian, jacrev
from tapem.transforms.loops import Scan, row_kinds
from tapem.transforms.lowering import inlined_function, lowered, with_parts
from tapem.transforms.program import Program
from tapem.transforms.projecting import project_to
from tapem.transforms.residuals import Kept, Pulled, kept, pulled
from tapem.transforms.rules import defbatch, deffrule, defrrule, frule, non_differentiable, rrule, scalar_rule
from tapem.transforms.tracing import Trace, monadic, plain_tree, through_every_door, trace
from tapem.transforms.vectorize import vmap

__all__ = [
    "Cond", "Kept", "Program", "Pulled", "Scan", "Trace", "While", "as_function", "by_example", "by_example_function",
    "call", "checkpoint", "composed", "cond", "custom_call", "custom_jvp", "custom_vjp", "defbatch", "deffrule",
    "defrrule", "detach", "differentiable", "eval_shape", "fori_loop", "frule", "grad", "hessian", "hvp",
    "inlined_function", "jacfwd", "jacobian", "jacrev", "jvp", "kept", "linearize", "lowered", "monadic", "no_grad",
    "non_differentiable", "plain_tree", "project_to", "pulled", "row_kinds", "rrule", "scalar_rule", "scan",
    "stop_gradient", "through_every_door", "trace", "traced", "value_and_grad", "vjp", "vmap", "while_loop",
    "with_parts",
]  # fmt: skip
