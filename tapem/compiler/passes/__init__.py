"""The passes: small pure functions from program to program, one file each."""

from tapem.compiler.passes.batches import batches
from tapem.compiler.passes.common import common
from tapem.compiler.passes.dead import dead
from tapem.compiler.passes.everywhere import everywhere
from tapem.compiler.passes.expand import expand, expand_all, expand_labeled
from tapem.compiler.passes.fission import fission
from tapem.compiler.passes.fold import fold
from tapem.compiler.passes.foreign import foreign
from tapem.compiler.passes.hoist import hoist
from tapem.compiler.passes.joined import joined
from tapem.compiler.passes.plan import Plan, bits_of, can_be_written, is_masked, plan
from tapem.compiler.passes.pools import pools, pulled_through_relu
from tapem.compiler.passes.products import product_and_sum, products, sizes_of
from tapem.compiler.passes.roll import roll
from tapem.compiler.passes.simplify import simplify
from tapem.compiler.passes.slices import slices
from tapem.compiler.passes.uniform import uniform

__all__ = [
    "Plan", "batches", "bits_of", "can_be_written", "common", "dead", "everywhere", "expand", "expand_all",
    "expand_labeled", "fission", "fold", "foreign", "hoist", "is_masked", "joined", "plan", "pools",
    "product_and_sum", "products", "pulled_through_relu", "roll", "simplify", "sizes_of", "slices", "uniform",
]  # fmt: skip
