"""tapem."""

from tapem.declare import Declaration as Declaration
from tapem.declare import elementwise as elementwise
from tapem.declare import primitive as primitive
from tapem.errors import *  # noqa: F403
from tapem.monad import Err as Err
from tapem.monad import Ok as Ok
from tapem.monad import TapeM as TapeM
from tapem.node import Abstract as Abstract
from tapem.ops.arithmetic import *  # noqa: F403
from tapem.ops.cumulative import *  # noqa: F403
from tapem.ops.joining import *  # noqa: F403
from tapem.ops.linalg import *  # noqa: F403
from tapem.ops.padding import *  # noqa: F403
from tapem.ops.reductions import *  # noqa: F403
from tapem.ops.shaping import *  # noqa: F403
from tapem.ops.softmax import *  # noqa: F403
from tapem.program import *  # noqa: F403
from tapem.signature import Tensor as Tensor
from tapem.tape import Ref as Ref
from tapem.tape import Tape as Tape
