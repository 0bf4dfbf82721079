"""Native: groups of ops as loops that numba compiles."""

from tapem.compiler.native.access import Access, accesses
from tapem.compiler.native.codegen import Segment
from tapem.compiler.native.groups import REDUCTIONS, RESHAPES, Group, grouped
from tapem.compiler.native.loops import native_control, written

__all__ = ["REDUCTIONS", "RESHAPES", "Access", "Group", "Segment", "accesses", "grouped", "native_control", "written"]
