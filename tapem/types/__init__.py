"""Types: what counts as a tensor, what an annotation allows, and why a call was refused."""

from tapem.types.annotations import Operand, allows_dtype, annotation_text, axis_sizes
from tapem.types.foreign import NUMBERS, NUMERIC, NoArray, as_tensor, own, refuse_meeting
from tapem.types.location import is_users, user_assigns_item, users_expression, users_line
from tapem.types.numpy_versions import NUMPY, SINCE, present, signature_of
from tapem.types.refusal import misfit_by_place
from tapem.types.signature import Signature, argument_names, parameters_and_hints
from tapem.types.tensor import (
    HUGE,
    Complex,
    Float,
    Inexact,
    Num,
    Real,
    Tensor,
    is_inexact,
    short_text,
    type_text,
    with_lengths,
)

__all__ = [
    "HUGE", "NUMBERS", "NUMERIC", "NUMPY", "SINCE", "Complex", "Float", "Inexact", "NoArray", "Num", "Operand", "Real",
    "Signature", "Tensor", "allows_dtype", "annotation_text", "argument_names", "as_tensor", "axis_sizes",
    "is_inexact", "is_users", "misfit_by_place", "own", "parameters_and_hints", "present", "refuse_meeting",
    "short_text", "signature_of", "type_text", "user_assigns_item", "users_expression", "users_line", "with_lengths",
]  # fmt: skip
