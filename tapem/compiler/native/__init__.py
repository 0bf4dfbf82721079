"""Native: groups of ops as loops that numba compiles."""

from tapem.compiler.native.access import Access, accesses
from tapem.compiler.native.codegen import Segment
from tapem.compiler.native.groups import REDUCTIONS, Group, grouped, kind_of
from tapem.compiler.native.loops import native_control, written

__all__ = ["REDUCTIONS", "Access", "Group", "Segment", "accesses", "grouped", "kind_of", "native_control", "written"]
