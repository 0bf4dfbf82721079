"""A sheet as HTML, as text, and as rich prints it: the same words, everything escaped."""

import base64
import io
import math
import re
import zlib

import pytest
from rich.console import Console

from tapem.display import (
    Displayed,
    Drawn,
    Fold,
    Mark,
    Sheet,
    Table,
    bars,
    curves,
    html_of,
    image,
    rich_of,
    sheet_of,
    shows,
    text_of,
)

NASTY = "<script>alert('&')</script>[bold]"


class Shown(Displayed):
    def __init__(self, sheet):
        self.sheet = sheet

    def __repr__(self):
        return "its repr [red]"


shows(Shown)(lambda shown: shown.sheet)

WHOLE = Sheet(
    f"title {NASTY}",
    (
        f"line {NASTY}",
        Mark(f"mark {NASTY}", False),
        Table((f"head {NASTY}", "b"), ((f"cell {NASTY}", Fold(f"fold {NASTY}", (f"inside {NASTY}",))),)),
        Fold(("two", "words"), (Table(("", ""), (("x", "1"),)), Fold("inner", ("deep",)))),
        Drawn("<svg></svg>", "a picture"),
    ),
)


def printed(value):
    console = Console(file=io.StringIO(), width=200, no_color=True)
    console.print(value)
    return console.file.getvalue()


def test_everything_is_escaped():
    html = html_of(Shown(WHOLE))
    assert "<script>" not in html
    assert html.count("&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;") == 7
    known = "b details div span style summary svg table td th tr"
    assert set(re.findall(r"<(\w+)", html)) == set(known.split())
    for tag in ("details", "div", "table", "tr", "td", "span"):
        assert html.count(f"<{tag}>") + html.count(f"<{tag} ") == html.count(f"</{tag}>")


@pytest.mark.parametrize("text_in", [lambda shown: text_of(shown.sheet), printed], ids=["text", "rich"])
def test_terminals_get_the_same_words(text_in):
    text = text_in(Shown(WHOLE))
    for word in ("title", "line", "mark", "head", "cell", "fold"):
        assert f"{word} {NASTY}" in text
    assert "two words" in text and "deep" in text and "a picture" in text and "<svg>" not in text


def test_a_type_without_a_display_shows_its_repr():
    assert sheet_of(3) is None and html_of(3) is None
    assert html_of(Shown(None)) is None
    assert printed(Shown(None)).strip() == "its repr [red]"
    assert "its repr [red]" in printed(rich_of(Shown(None)))


def test_an_image_is_a_png_of_its_pixels():
    html = image([[0, 128], [255, 7]], "four").html
    data = base64.b64decode(re.search('base64,([^"]+)', html)[1])
    assert data.startswith(b"\x89PNG")
    start = data.index(b"IDAT") + 4
    assert zlib.decompress(data[start:-16]) == bytes([0, 0, 128, 0, 255, 7])


def test_bars_are_as_high_as_their_counts():
    assert "M0 16V8h2V16zM3 16V0h2V16z" in bars([2, 4, 0], "").html


def test_curves_go_from_the_first_value_to_the_last():
    drawn = curves({"loss": [3.0, 2.0, 1.0]})
    (path,) = re.findall(r'd="(M[^"]+)" fill="none" stroke="currentColor" stroke-width', drawn.html)
    assert path == "M72.0 8.0L282.0 70.0L492.0 132.0"
    assert drawn.text == "loss from 3 to 1"
    # Over several powers of ten the axis is logarithmic.
    html = curves({"": [1e4, 1e2, 1]}).html
    (path,) = re.findall(r'd="(M[^"]+)" fill="none" stroke="currentColor" stroke-width', html)
    assert path == "M72.0 8.0L282.0 70.0L492.0 132.0"


def test_curves_leave_gaps_and_few_points():
    html = curves({"a": [1.0, math.nan, 2.0, 3.0], "b": [2.0] * 10_000}).html
    paths = re.findall(r'd="(M[^"]+)"(?: stroke-dasharray="6 3")? fill="none" stroke="currentColor" stroke-width', html)
    assert paths[0].count("M") == 2 and paths[1].count("L") == 199
    assert len(html) < 5000
    assert curves({"a": [1.0]}) is None and curves({"a": [math.nan] * 3}) is None and curves({}) is None
