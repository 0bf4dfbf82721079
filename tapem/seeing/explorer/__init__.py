"""The explorer: a tape and its sweeps as one page that a reader can step through."""

from tapem.seeing.explorer.page import Explorer, show

__all__ = ["Explorer", "show"]
