"""A page of results: it shows all it is given, escaped, and needs nothing from outside."""

import re
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.page import Example, Section, Table, render_page

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script><img src=https://evil.example/x onerror=go()> & \"quoted\" {{ 7 * 7 }} {% raw %}"


def page(text: str) -> str:
    table = Table(text, ["name", text], [[text, text], ["other", ""]], subject=text)
    section = Section(text, text, [table, Table("empty", ["a"], [])], [text], [Example(text, text, [(text, text)])])
    return render_page(text, NOON, text, [section, Section("bare")], lead=text)


def tree(html: str) -> ElementTree.Element:
    """Read the page as XML: well-formed but for the tags that HTML leaves open."""
    closed = re.sub(r"<(meta|br)\b([^>]*)>", r"<\1\2/>", html.removeprefix("<!doctype html>"))
    return ElementTree.fromstring(closed)


def test_everything_given_is_on_the_page():
    words = "".join(tree(page("Zebra")).itertext())
    # title twice, lead, contents, heading, lead, caption, column, 2 cells, point, heading, aside, name, text, command
    assert words.count("Zebra") == 16
    assert words.count("There is nothing to show.") == 1
    assert "2026-05-01 12:00 UTC" in words


def test_whatever_it_is_given_is_escaped_and_shown_as_it_is():
    html = page(HOSTILE)
    root = tree(html)
    assert {element.tag for element in root.iter()}.isdisjoint({"script", "img", "link", "iframe", "object"})
    assert "".join(root.itertext()).count(HOSTILE) == 16


def test_the_page_loads_nothing_and_says_so_to_the_browser():
    root = tree(page("x"))
    assert not [e for e in root.iter() for name in e.attrib if name in ("src", "srcset", "data") or name[:2] == "on"]
    links = [e.attrib["href"] for e in root.iter() if "href" in e.attrib]
    ids = {e.attrib["id"] for e in root.iter() if "id" in e.attrib}
    assert links
    assert all(link[0] == "#" and link[1:] in ids for link in links)
    policy = next(e.attrib["content"] for e in root.iter("meta") if e.attrib.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert "url(" not in page("x")
    assert "@import" not in page("x")


def test_the_row_it_is_about_is_set_off():
    rows = [row.attrib.get("class") for row in tree(page("Zebra")).iter("tr")]
    assert rows.count("subject") == 1


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="table 'scores': a row does not have 2 cells"):
        render_page("t", NOON, "c", [Section("s", tables=[Table("scores", ["a", "b"], [["1"]])])])


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_any_text_comes_back(text):
    root = tree(page(text))
    assert root.findtext(".//h1") == text
