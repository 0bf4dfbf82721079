"""All displays on one page, in a browser, in light and dark."""

import pytest

from tapem.display import html_of
from tests.seeing.displays.values import displayed
from tests.seeing.explorer.browser import opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_of_all_displays(scheme, tmp_path):
    """Text stands out from the page's own ground, folds open, pictures are drawn, and nothing is wider than a phone."""
    values = displayed()
    path = tmp_path / "displays.html"
    head = '<!doctype html><meta charset="utf-8"><style>:root{color-scheme:light dark}</style>'
    path.write_text(head + "".join(f"<h3>{name}</h3>{html_of(value)}" for name, value in values.items()))
    with opened(path, width=390, height=800, color_scheme=scheme) as page:
        assert page.locator(".tm-sheet").count() == len(values)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        ink = page.evaluate("getComputedStyle(document.querySelector('.tm-sheet td')).color")
        assert ink == {"light": "rgb(0, 0, 0)", "dark": "rgb(255, 255, 255)"}[scheme]
        fold = page.locator("details", has_text="3 computed nodes").first
        assert not fold.locator("table").first.is_visible()
        fold.locator("summary").first.click()
        assert fold.locator("table").first.is_visible()
        assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 1)")
        curve = page.locator("svg path", has=page.locator("title", has_text="validation"))
        assert curve.bounding_box()["height"] > 20
