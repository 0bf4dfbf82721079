"""The site builds without a warning, every link in it leads somewhere, and it needs no network to be read."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.pages import ROOT, pages


class Links(HTMLParser):
    """The links, the loaded files and the anchors of a page."""

    def __init__(self):
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in ("script", "img", "iframe") and given.get("src"):
            self.loaded.append(given["src"])
        if tag == "link" and given.get("rel") == "stylesheet":
            self.loaded.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    built = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-j", "2", "docs", str(built)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr  # -W makes errors of warnings; kernels of notebooks log to stderr
    return built


def parsed(path):
    links = Links()
    links.feed(path.read_text(encoding="utf-8"))
    return links


def test_every_page_is_built_every_link_leads_somewhere_and_nothing_is_fetched(site):
    found = {path: parsed(path) for path in site.rglob("*.html")}
    for page in pages():
        assert site / page.replace(".md", ".html") in found
    broken = []
    for path, page in found.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "mailto"):
                if link in page.loaded:
                    broken.append(f"{path.relative_to(site)} loads {link}")
                continue
            if parts.scheme == "data":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                broken.append(f"{path.relative_to(site)}: {link}")
            elif parts.fragment and target in found and unquote(parts.fragment) not in found[target].anchors:
                broken.append(f"{path.relative_to(site)}: {link}: no such place")
    assert not broken, "\n".join(broken)
    styles = "".join(path.read_text(encoding="utf-8") for path in Path(site / "_static").rglob("*.css"))
    assert not re.search(r"url\(['\"]?https?:|@import ['\"]?https?:", styles)
