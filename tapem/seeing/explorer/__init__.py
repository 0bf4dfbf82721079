"""The explorer: a tape and its sweeps as one page that a reader can step through, and as a still picture."""

from tapem.seeing.explorer.drawing import Picture, draw, to_dot
from tapem.seeing.explorer.page import Explorer, show

__all__ = ["Explorer", "Picture", "draw", "show", "to_dot"]
