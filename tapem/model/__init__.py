"""The model level: everything that one asks of a model and a loss, as one function each.

A `model` is an object with `apply`, such as a layer, or any program `(params, x) -> prediction`; a `loss` is any
program `(prediction, target) -> scalar`. Through all three doors, and inside every transform:

    value_and_grad         ValueAndGrad(value, dparams, dx, dtarget), from one sweep
    value_and_grad_params  (value, dparams); likewise value_and_grad_x, value_and_grad_target
    grad_params            dparams; likewise grad_x, grad_target, and grad_inputs: (dx, dtarget)
    vjp_params, vjp_input  a cotangent of the prediction, pulled back
    jacrev, jacrev_input   the Jacobian of the prediction
    jvp, hvp               the slope and the curvature of the loss along a direction of the parameters

Each is a line or two of `tm.value_and_grad`, `tm.vjp`, `tm.jacrev` and `tm.jvp`, which are there for all else.
"""

from tapem.model.derivatives import hvp, jacrev, jacrev_input, jvp, vjp_input, vjp_params
from tapem.model.gradients import (
    ValueAndGrad,
    grad_inputs,
    grad_params,
    grad_target,
    grad_x,
    value_and_grad,
    value_and_grad_params,
    value_and_grad_target,
    value_and_grad_x,
)
from tapem.model.programs import Applicable, Loss, Model
from tapem.model.programs import Setting as Setting  # this and the following are for `tapem.training`
from tapem.model.programs import named as named
from tapem.model.programs import objective as objective
from tapem.model.programs import refused_options as refused_options
from tapem.model.programs import runner as runner

__all__ = [
    "Applicable", "Loss", "Model", "ValueAndGrad", "grad_inputs", "grad_params", "grad_target", "grad_x", "hvp",
    "jacrev", "jacrev_input", "jvp", "value_and_grad", "value_and_grad_params", "value_and_grad_target",
    "value_and_grad_x", "vjp_input", "vjp_params",
]  # fmt: skip
