"""The passes: small pure functions from program to program, one file each."""

from tapem.compiler.passes.common import common
from tapem.compiler.passes.dead import dead
from tapem.compiler.passes.everywhere import everywhere
from tapem.compiler.passes.expand import expand, expand_all
from tapem.compiler.passes.fission import fission
from tapem.compiler.passes.fold import fold
from tapem.compiler.passes.foreign import foreign
from tapem.compiler.passes.hoist import hoist
from tapem.compiler.passes.joined import joined
from tapem.compiler.passes.plan import Plan, can_be_written, plan
from tapem.compiler.passes.roll import roll
from tapem.compiler.passes.simplify import simplify
from tapem.compiler.passes.slices import slices
from tapem.compiler.passes.uniform import uniform

__all__ = [
    "Plan", "can_be_written", "common", "dead", "everywhere", "expand", "expand_all", "fission", "fold", "foreign",
    "hoist", "joined", "plan", "roll", "simplify", "slices", "uniform",
]  # fmt: skip
