"""How values show themselves in notebooks and terminals: a table from types to sheets, which other rooms fill.

It stands below everything, so that an error and a tape can have a display without knowing who draws it.
"""

from tapem.display.pictures import bars, curves, image
from tapem.display.registry import Displayed, html_of, rich_of, sheet_of, shows
from tapem.display.sheets import Cell, Drawn, Fold, Mark, Part, Sheet, Table, text_of

__all__ = [
    "Cell", "Displayed", "Drawn", "Fold", "Mark", "Part", "Sheet", "Table", "bars", "curves", "html_of", "image",
    "rich_of", "sheet_of", "shows", "text_of",
]  # fmt: skip
