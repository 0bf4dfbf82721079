"""A program as data: nodes, primitives and the table of NumPy's names. It imports no ops and no doors."""

from tapem.core.abstract import abstract_evaluate, abstract_residuals, number_of, python_operator
from tapem.core.boundary import boundary, shorten
from tapem.core.context import (
    CONTEXT,
    RecordingContext,
    Watcher,
    new_context,
    prepared,
    quietly,
    run,
    set_back,
    silently,
)
from tapem.core.deprecation import renamed_names, renamed_parameters
from tapem.core.halves import all_half, in_float32, narrow, wide
from tapem.core.hints import ATTRIBUTES, instead, note
from tapem.core.immutable import Immutable, setter
from tapem.core.listing import constant_text, listed_nodes, listing, node_line, node_type
from tapem.core.names import (
    ARRAY_API,
    CONSTANTS,
    FUNCTIONS,
    METHODS,
    OPS,
    REFUSED,
    SCIPY,
    UFUNCS,
    enter,
    enter_function,
    enter_method,
    enter_options,
    enter_refusal,
    enter_ufunc,
    enter_whole,
    is_constant,
    name_of,
    ufunc_handler,
)
from tapem.core.node import (
    LEAF,
    NOTHING,
    Array,
    DType,
    Handle,
    Node,
    Scalar,
    Shape,
    ShapeDtype,
    Static,
    UnknownNumber,
    constant,
    is_plain,
    is_several,
    is_weak,
    new_node,
    read_only,
    snapshot,
    taken,
)
from tapem.core.primitive import GivenRule, Primitive, Rule, Rules, has_door, linear_in_all, register_door, replaced
from tapem.core.recording import recorded
from tapem.core.structure import detach, identity, pick, unstack
from tapem.core.tangent_door import TangentDoor
from tapem.core.tree import (
    NAMESPACE,
    NO_LEAF,
    ONE_LEAF,
    ROOT,
    Structure,
    differences,
    leaf_name,
    leaf_names,
    leaves_like,
    leaves_or_none,
    shown,
    tree_differences,
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_parts,
    tree_shapes,
    tree_unflatten,
)
from tapem.core.ufunc_methods import in_loop, number_in
from tapem.core.ufunc_options import called_with
from tapem.core.wellformed import check

__all__ = [
    "ARRAY_API", "ATTRIBUTES", "CONSTANTS", "CONTEXT", "FUNCTIONS", "LEAF", "METHODS", "NAMESPACE", "NOTHING",
    "NO_LEAF", "ONE_LEAF", "OPS", "REFUSED", "ROOT", "SCIPY", "UFUNCS", "Array", "DType", "GivenRule", "Handle",
    "Immutable", "Node", "Primitive", "RecordingContext", "Rule", "Rules", "Scalar", "Shape", "ShapeDtype", "Static",
    "Structure", "TangentDoor", "UnknownNumber", "Watcher", "abstract_evaluate", "abstract_residuals", "all_half",
    "boundary", "called_with", "check", "constant", "constant_text", "detach", "differences", "enter",
    "enter_function", "enter_method", "enter_options", "enter_refusal", "enter_ufunc", "enter_whole", "has_door",
    "identity", "in_float32", "in_loop", "instead", "is_constant", "is_plain", "is_several", "is_weak", "leaf_name",
    "leaf_names", "leaves_like", "leaves_or_none", "linear_in_all", "listed_nodes", "listing", "name_of", "narrow",
    "new_context", "new_node", "node_line", "node_type", "note", "number_in", "number_of", "pick", "prepared",
    "python_operator", "quietly", "read_only", "recorded", "register_door", "renamed_names", "renamed_parameters",
    "replaced", "run", "set_back", "setter", "shorten", "shown", "silently", "snapshot", "taken", "tree_differences",
    "tree_flatten", "tree_leaves", "tree_map", "tree_parts", "tree_shapes", "tree_unflatten", "ufunc_handler",
    "unstack", "wide",
]  # fmt: skip
