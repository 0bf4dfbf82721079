"""Native: groups of ops as loops that numba compiles."""

from tapem.compiler.native.access import Access, accesses
from tapem.compiler.native.codegen import Segment
from tapem.compiler.native.groups import REDUCTIONS, Group, grouped, kind_of
from tapem.compiler.native.loops import native_control, written
from tapem.compiler.native.pooling import back_text, pool_text

__all__ = [
    "REDUCTIONS", "Access", "Group", "Segment", "accesses", "back_text", "grouped", "kind_of", "native_control",
    "pool_text", "written",
]  # fmt: skip
