"""The report: one file that loads nothing, shows everything, and escapes whatever it did not write itself."""

import json
import re
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from report_page import ATTACK, IN_CONTEXT, Page

import evals.report
from evals.evaluate import evaluate
from evals.reliability import calibration_curves
from evals.report import InContext, ReportContext, moment, render_report, show


def test_the_page_loads_nothing_and_runs_nothing(result, context):
    text = render_report(result, context)
    page = Page(text)

    links = [value for _, name, value in page.attributes if name in ("src", "href", "srcset", "action", "xlink:href")]
    assert links
    assert all(link.startswith("#") for link in links)
    assert not page.tags.keys() & {"script", "iframe", "link", "object", "embed", "img", "form", "base"}
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not re.search(r"https?:|//[a-z]|url\(|@import|javascript:", text)
    assert "default-src 'none'" in text


def test_the_page_is_well_formed_with_unique_ids_and_every_link_leads_somewhere(result, context):
    page = Page(render_report(result, context))

    assert page.faults == []
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert {value[1:] for _, name, value in page.attributes if name == "href"} <= set(page.ids)
    labels = {value for _, name, value in page.attributes if name == "aria-labelledby"}
    assert labels <= set(page.ids)


def test_headings_are_in_order_and_every_drawing_has_words(result, context):
    text = render_report(result, context)
    page = Page(text)

    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in zip(page.headings, page.headings[1:], strict=False))
    drawings = re.findall(r"<svg[^>]*>", text)
    assert drawings
    assert all('role="img" aria-label=' in drawing or 'aria-hidden="true"' in drawing for drawing in drawings)
    assert 'lang="en"' in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert all(f'scope="{scope}"' in text for scope in ("col", "row", "rowgroup"))


def test_the_page_says_everything_it_must(result, context):
    text = render_report(result, context)
    page = Page(text)

    sections = ["gains", "arms", "calibration", "coverage", "cost", "examples", "method", "caveats", "release", "again"]
    assert [name for name in page.ids if name in sections] == sections
    for words in (
        result["conclusion"],
        "2026-11-25 10:30 UTC",
        "against base",
        "against facts",
        "All test rows 600 rows",
        "Mean ± standard deviation over 3 training seeds",
        "rating >= 4",
        "80,419, 10,059, 10,358",
        "83.7%",
        "the model's own tokenizer",
        "312.4 CPU-seconds",
        "442,924",
        "2.50 EUR",
        "Heat (1995) as of any time, prompt kar_item.v1",
        "Michael Mann's film.",
        "rel-000007",
        "recorded-2026-11",
        "kar_item/dense 384 0fafd758133a",
        "torch 2.13.0",
        "1 of 1 held",
        "0 leaks in 245,668 pairs",
        "50 replicates",
        "users and training seeds are drawn with replacement",
        "The model may have seen the data in training.",
        "Only 3 training seeds per arm",
        "knowflow report --config knowflow.yaml",
    ):
        assert words in page.words, words
    for arm, sentence in context.arms.items():
        assert f"{arm} {sentence}" in page.words
    mean = result["arms"]["knowledge"]["cold"]["gauc"]
    assert f"{mean['mean']:.4f} ± {mean['sd']:.4f}" in page.words


def test_whatever_comes_from_data_or_a_model_is_escaped(result, context):
    nasty = replace(
        context,
        title=ATTACK,
        command=ATTACK,
        data={ATTACK: ATTACK},
        arms={**context.arms, "knowledge": ATTACK},
        coverage=[{**context.coverage[0], "task": ATTACK, "entity": ATTACK}],
        costs=[{**context.costs[0], "task": ATTACK, "currency": ATTACK}],
        token_counter=ATTACK,
        examples=[
            {
                "task": ATTACK,
                "entity": ATTACK,
                "as_of": ATTACK,
                "messages": [{"role": ATTACK, "content": ATTACK}],
                "answer": ATTACK,
                "prompt": ATTACK,
            }
        ],
        release={
            "name": ATTACK,
            "created_at": None,
            "versions": {ATTACK: ATTACK},
            "facts": {
                "model": ATTACK,
                "vectors": {ATTACK: {"fingerprint": '"' + ATTACK, "dimension": 2}},
                "gates": [{"name": ATTACK, "holds": False, "found": ATTACK}],
                "software": {ATTACK: ATTACK},
            },
        },
        caveats=[ATTACK],
        in_context=InContext(
            {ATTACK: IN_CONTEXT.arms["llm-cf"]},
            {**IN_CONTEXT.cost, "currency": ATTACK},
            [
                {
                    **IN_CONTEXT.samples[0],
                    "user": ATTACK,
                    "item": ATTACK,
                    "examples": [
                        {**IN_CONTEXT.samples[0]["examples"][0], "user": ATTACK, "item": ATTACK, "text": ATTACK}
                    ],
                }
            ],
        ),
    )

    page = Page(render_report({**result, "conclusion": ATTACK}, nasty))

    assert page.tags["script"] == page.tags["img"] == 0
    assert page.faults == []
    assert page.open == []
    assert not [name for _, name, _ in page.attributes if name == "onerror"]
    assert page.words.count(ATTACK) >= 20


def test_in_context_examples_have_a_section_of_their_own(result, context):
    page = Page(render_report(result, replace(context, in_context=IN_CONTEXT)))
    without = Page(render_report(result, context))

    assert "in-context" in page.ids
    assert "in-context" not in without.ids
    assert page.faults == []
    assert {value[1:] for _, name, value in page.attributes if name == "href"} <= set(page.ids)
    for words in (
        "632 calls with 149,472 tokens in and 74,284 out, 3.20 EUR",
        "llm-cf 632 4 25.0% 0.713 12.5 1.000",
        "Test sample: user 7 and Heat (1995) 2017-06-01 12:30 UTC, not liked (not shown to the model), missing examples: 3",
        "liked User 9, Fargo (1996), 2016-01-01 00:00 UTC, similarity 0.812: Dark humour matters most …",
        "llm-cf-random 632 4 25.0% – – –",
    ):
        assert words in page.words, words


def test_rows_about_events_show_no_share(result, context):
    row = {
        "task": "cot_examples",
        "entity": "event",
        "rows": 632,
        "entities": 632,
        "all": None,
        "test": None,
        "cold": None,
    }

    text = render_report(result, replace(context, coverage=[row]))

    assert "cot_examples event 632 632 – – –" in Page(text).words
    table = text[text.index('<section id="coverage"') : text.index('<section id="cost"')]
    assert 'class="bar"' not in table


def test_names_of_arms_and_segments_are_escaped_too(scores, context):
    named = replace(
        scores,
        segments={**scores.segments, '"><b>': scores.segments["cold"]},
        probabilities={**scores.probabilities, '"><script>': scores.probabilities["base"]},
    )

    page = Page(render_report(evaluate(named, replicates=5), replace(context, calibration=calibration_curves(named))))

    assert page.tags["script"] == page.tags["b"] == 0
    assert page.faults == []


def test_a_result_read_back_from_json_gives_the_same_page(result, context):
    assert render_report(json.loads(json.dumps(result)), context) == render_report(result, context)


def test_a_page_without_intervals_knowledge_or_controls_is_still_a_page(scores, context):
    bare = replace(
        scores,
        segments={"all": scores.segments["all"], "cold_with_knowledge": np.zeros(600, dtype=bool)},
        probabilities={"base": scores.probabilities["base"][:1], "knowledge": scores.probabilities["base"][:1]},
    )
    empty = replace(
        context, calibration={}, coverage=[], costs=[], examples=[], release={}, data={}, arms={}, seconds=None, seeds=1
    )
    alone = replace(bare, probabilities={"base": bare.probabilities["base"]})

    for one in (evaluate(bare, replicates=5), evaluate(alone, ("facts",), 5), evaluate(alone, replicates=5)):
        page = Page(render_report(one, empty))

        assert page.faults == []
        assert "nan" not in page.words.lower().split()
        assert "None" not in page.words
    assert "over 1 training seed." in page.words


def test_values_of_every_kind_are_shown_in_words():
    assert show({"a": 1234, "b": [0.25, True, None]}) == "a 1,234, b 0.25, yes, –"
    assert moment(datetime(1970, 1, 1)) == "any time"
    assert moment("2026-11-25") == "2026-11-25"
    assert show(datetime(2026, 11, 25, 9, 5, tzinfo=UTC)) == "2026-11-25 09:05 UTC"


def test_every_field_of_the_context_is_documented():
    source = Path(evals.report.__file__).read_text()

    for field in fields(ReportContext):
        assert re.search(rf'    {field.name}: .+\n    """', source), field.name
