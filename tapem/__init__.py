"""tapem."""

from tapem import optim as optim
from tapem import random as random
from tapem import testing as testing
from tapem.control import checkpoint as checkpoint
from tapem.control import cond as cond
from tapem.control import eval_shape as eval_shape
from tapem.control import fori_loop as fori_loop
from tapem.control import scan as scan
from tapem.control import while_loop as while_loop
from tapem.custom import custom_jvp as custom_jvp
from tapem.custom import custom_vjp as custom_vjp
from tapem.custom import detach as detach
from tapem.custom import no_grad as no_grad
from tapem.custom import stop_gradient as stop_gradient
from tapem.declare import Declaration as Declaration
from tapem.declare import elementwise as elementwise
from tapem.declare import primitive as primitive
from tapem.errors import *  # noqa: F403
from tapem.gradients import Gradients as Gradients
from tapem.jacobians import hessian as hessian
from tapem.jacobians import hvp as hvp
from tapem.jacobians import jacfwd as jacfwd
from tapem.jacobians import jacobian as jacobian
from tapem.jacobians import jacrev as jacrev
from tapem.monad import Err as Err
from tapem.monad import Ok as Ok
from tapem.monad import TapeM as TapeM
from tapem.node import Abstract as Abstract
from tapem.node import Node as Node
from tapem.ops.activations import *  # noqa: F403
from tapem.ops.arithmetic import *  # noqa: F403
from tapem.ops.casting import *  # noqa: F403
from tapem.ops.comparison import *  # noqa: F403
from tapem.ops.cumulative import *  # noqa: F403
from tapem.ops.decompositions import *  # noqa: F403
from tapem.ops.diagonals import *  # noqa: F403
from tapem.ops.exponential import *  # noqa: F403
from tapem.ops.indexing import *  # noqa: F403
from tapem.ops.joining import *  # noqa: F403
from tapem.ops.linalg import *  # noqa: F403
from tapem.ops.padding import *  # noqa: F403
from tapem.ops.reductions import *  # noqa: F403
from tapem.ops.searching import *  # noqa: F403
from tapem.ops.selection import *  # noqa: F403
from tapem.ops.shaping import *  # noqa: F403
from tapem.ops.softmax import *  # noqa: F403
from tapem.ops.solving import *  # noqa: F403
from tapem.ops.spectral import *  # noqa: F403
from tapem.ops.trigonometry import *  # noqa: F403
from tapem.program import *  # noqa: F403
from tapem.signature import Tensor as Tensor
from tapem.tape import Ref as Ref
from tapem.tape import Tape as Tape
from tapem.transforms import grad as grad
from tapem.transforms import jvp as jvp
from tapem.transforms import linearize as linearize
from tapem.transforms import value_and_grad as value_and_grad
from tapem.transforms import vjp as vjp
from tapem.vectorise import vmap as vmap
