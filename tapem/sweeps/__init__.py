"""The folds over a tape, one file each: reverse, forward, batch; and their steps as data."""

from tapem.sweeps.batch import Batched, batch, from_front, to_front
from tapem.sweeps.broadcasting import never_arrived, repeated, unbroadcast, zeros_of
from tapem.sweeps.fitting import fit_given
from tapem.sweeps.forward import forward
from tapem.sweeps.printer import Printer, value_text
from tapem.sweeps.reverse import View, reached, reverse
from tapem.sweeps.rule_source import (
    Place,
    Written,
    file_text,
    partials_of,
    place_of,
    places_of,
    source_of,
    sources_of,
    written_as,
)
from tapem.sweeps.steps import Contribution, ForwardStep, Notes, ReverseStep, forward_steps_of, reverse_steps_of

__all__ = [
    "Batched", "Contribution", "ForwardStep", "Notes", "Place", "Printer", "ReverseStep", "View", "Written", "batch",
    "file_text", "fit_given", "forward", "forward_steps_of", "from_front", "never_arrived", "partials_of", "place_of",
    "places_of", "reached", "repeated", "reverse", "reverse_steps_of", "source_of", "sources_of", "to_front",
    "unbroadcast", "value_text", "written_as", "zeros_of",
]  # fmt: skip
