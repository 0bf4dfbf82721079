"""Optimizers and schedules, pure: `init(params) -> state`, `update(grads, state, params) -> (params, state)`.

An optimizer is an immutable description, such as `adam(1e-3)`. Parameters, gradients and state are trees, so states are
saved and loaded as parameters are. The semantics and default values are those of `torch.optim`.

    optimizer = tm.optim.adam(1e-3)
    state = optimizer.init(params)
    loss, grads = tm.value_and_grad(loss_of)(params)
    params, state = optimizer.update(grads, state, params)
"""

from typing import TYPE_CHECKING

from tapem.core import renamed_names
from tapem.optim.optimizers import Optimizer as Optimizer
from tapem.optim.optimizers import adagrad as adagrad
from tapem.optim.optimizers import adam as adam
from tapem.optim.optimizers import adamw as adamw
from tapem.optim.optimizers import clip_by_global_norm as clip_by_global_norm
from tapem.optim.optimizers import global_norm as global_norm
from tapem.optim.optimizers import rmsprop as rmsprop
from tapem.optim.optimizers import sgd as sgd
from tapem.optim.schedules import Schedule as Schedule
from tapem.optim.schedules import constant as constant
from tapem.optim.schedules import cosine as cosine
from tapem.optim.schedules import exponential as exponential
from tapem.optim.schedules import step as step
from tapem.optim.schedules import warmup_cosine as warmup_cosine

if not TYPE_CHECKING:  # a checker would take any name for one of the module's
    __getattr__ = renamed_names(__name__, Optimiser="Optimizer")
