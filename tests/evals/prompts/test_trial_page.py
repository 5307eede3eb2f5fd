"""The page of a trial, as text and in a real browser."""

import re
from datetime import UTC, datetime

import pytest
from browser import CHROMIUM, different_bytes, dom_of, screenshot

from evals.prompts.page import TrialPage, page_rows, render_trial
from evals.prompts.tables import measure_tables
from evals.prompts.text.background import Background
from evals.prompts.text.measure import measure_text
from evals.trial import Trial, TrialAnswer, TrialRow

EVIL = "<script>document.title = 'broken into'</script><img src=x onerror=alert(1)>"
IN_A_BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


def said(text, error=None):
    return TrialAnswer("k", text, text if error is None else None, text, error, None, 10, 5)


@pytest.fixture
def page():
    rows = tuple(
        TrialRow(f"r{n}", f"{n}", datetime(2024, 1, 1, tzinfo=UTC), stratum, {"input": f"Film {n} {EVIL}"})
        for n, stratum in enumerate(["cold item", "item of the head", "item of the head"])
    )
    answers = {
        "kar_item.v1": (said("A warm film of thieves."), said(EVIL), said("Short.")),
        "kar_item.v2": (said("A cold film of thieves."), said("Other."), said("{", error="parse: no JSON <b>")),
    }
    trial = Trial("kar_item", "item", tuple(answers), rows, answers)
    measured = measure_text(trial, Background())
    return TrialPage(
        title="kar_item: v1, v2",
        made_at="2026-11-30 16:00 UTC",
        sample="3 of 3 rows, seed 0",
        lead="v2 is worth more.",
        versions=trial.versions,
        tables=measure_tables(measured, trial.versions),
        abouts=[(one.name, one.about) for one in measured],
        strata=["cold item", "item of the head"],
        measures=[one.name for one in measured if one.by_row],
        rows=page_rows(trial, measured, {"kar_item.v2": {"r1": ["max_words: 3 <i>"]}}),
        prompts=[("kar_item.v1", f"Describe {EVIL}")],
        caveats=[f"Mind {EVIL}."],
        command="knowflow prompts eval kar_item",
    )


def test_all_data_are_escaped_and_only_the_script_of_the_page_may_run(page):
    html = render_trial(page)

    assert EVIL not in html
    assert html.count("<script>") == 1
    assert "&lt;b&gt;" in html
    assert "max_words: 3 &lt;i&gt;" in html
    assert re.search(r"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-[A-Za-z0-9+/]{43}='", html)
    assert not re.search(r"(src|href)=\"(?!#)", html)


def test_every_row_shows_all_versions_and_the_tables_all_measures(page):
    html = render_trial(page)

    assert html.count('<article class="row"') == 3
    assert html.count('class="message answer"') == 6
    assert "item 0<small>cold item</small>" in html
    assert '<th scope="row" title="Words of the text that is encoded.">words</th>' in html
    assert "v2 − v1" in html
    assert "v2 is worth more." in html


@IN_A_BROWSER
def test_in_a_browser_words_that_differ_are_marked_and_rows_are_counted(page, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(render_trial(page), encoding="utf-8")

    dom = dom_of(file)
    screenshot(file, tmp_path / "page.png")

    assert ">3 of 3 rows<" in dom
    assert "A <mark>cold</mark> film of thieves." in dom
    assert "<title>kar_item: v1, v2</title>" in dom  # no script of the data has run
    assert different_bytes(tmp_path / "page.png") > 30


@IN_A_BROWSER
def test_in_a_browser_filters_and_keys_work(page, tmp_path):
    # Keys and filters are used by a script of the test, which the page's own policy would not allow.
    moves = """<script>
      const set = (id, value) => { byId(id).value = value; byId(id).dispatchEvent(new Event("input")); };
      const note = (what) => { const p = document.createElement("p"); p.textContent = what; document.body.append(p); };
      document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
      document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
      note("second row has the focus: " + (document.activeElement === rows[1]));
      document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "?", bubbles: true }));
      note("help is shown: " + !byId("help").hidden);
      document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "/", bubbles: true }));
      note("filter has the focus: " + (document.activeElement.id === "filter"));
      set("stratum", "cold item"); note("cold: " + byId("count").textContent);
      set("stratum", ""); set("measure", "words"); set("least", "4"); note("four words: " + byId("count").textContent);
      set("measure", ""); set("filter", "other"); note("other: " + byId("count").textContent);
    </script></body>"""
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", render_trial(page))
    file = tmp_path / "page.html"
    file.write_text(html.replace("</body>", moves), encoding="utf-8")

    dom = dom_of(file)

    for told in (
        "second row has the focus: true",
        "help is shown: true",
        "filter has the focus: true",
        "cold: 1 of 3 rows",
        "four words: 2 of 3 rows",
        "other: 1 of 3 rows",
    ):
        assert f"<p>{told}</p>" in dom
