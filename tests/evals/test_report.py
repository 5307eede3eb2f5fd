"""The report: one file that loads nothing, shows everything, and escapes whatever it did not write itself."""

import json
import re
from collections import Counter
from dataclasses import fields, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import evals.report
from evals.conclusion import conclude_both
from evals.evaluate import evaluate
from evals.figures import calibration_curves
from evals.report import InContext, ReportContext, moment, render_report, show
from evals.words import interval, signed

ATTACK = "<script>alert('x')</script><img src=https://evil.example/a.png onerror=alert(1)>"
VOID = {"meta", "br", "img", "link", "input", "hr", "line", "circle"}


IN_CONTEXT = InContext(
    arms={
        "llm-cf": {
            "examples": 632,
            "k": 4,
            "shortage_share": 0.25,
            "similarity_mean": 0.7131,
            "days_back_median": 12.5,
            "recall": 1.0,
        },
        "llm-cf-random": {
            "examples": 632,
            "k": 4,
            "shortage_share": 0.25,
            "similarity_mean": None,
            "days_back_median": None,
            "recall": None,
        },
    },
    cost={"calls": 632, "input_tokens": 149472, "output_tokens": 74284, "cost": 3.2, "currency": "EUR"},
    samples=[
        {
            "user": "7",
            "item": "Heat (1995)",
            "time": datetime(2017, 6, 1, 12, 30, tzinfo=UTC),
            "label": 0.0,
            "lacking": 3,
            "examples": [
                {
                    "user": "9",
                    "item": "Fargo (1996)",
                    "time": datetime(2016, 1, 1, tzinfo=UTC),
                    "label": 1.0,
                    "similarity": 0.8123,
                    "text": "Dark humour matters most …",
                }
            ],
        }
    ],
)


class Page(HTMLParser):
    """What a browser would find in the page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.faults, self.text = Counter(), [], [], []
        self.ids, self.attributes, self.headings = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag in ("h1", "h2", "h3"):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture
def context(scores):
    return ReportContext(
        title="Films: does knowledge help?",
        made_at=datetime(2026, 11, 25, 10, 30, tzinfo=UTC),
        command="knowflow report --config knowflow.yaml",
        data={"Events": 100836, "Label": "rating >= 4", "Parts": [80419, 10059, 10358], "Share": 0.482, "Empty": None},
        arms={
            "base": "No text.",
            "facts": "Title and genres.",
            "shuffled": "Answers of others.",
            "knowledge": "Answers.",
        },
        calibration=calibration_curves(scores),
        coverage=[
            {
                "task": "kar_item",
                "entity": "item",
                "rows": 3227,
                "entities": 3227,
                "all": 0.837,
                "test": 0.8,
                "cold": 0.4,
            }
        ],
        costs=[
            {
                "task": task,
                "rows": 3227,
                "calls": 3000,
                "cached": 227,
                "input_tokens": 221462,
                "output_tokens": 228215,
                "cost": 1.25,
                "currency": "EUR",
            }
            for task in ("kar_item", "kar_user")
        ],
        token_counter="counted with the model's own tokenizer",
        examples=[
            {
                "task": "kar_item",
                "entity": "Heat (1995)",
                "as_of": datetime(1970, 1, 1, tzinfo=UTC),
                "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Heat\n(1995)"}],
                "answer": "Michael Mann's film.",
                "prompt": "kar_item.v1",
            }
        ],
        release={
            "name": "rel-000007",
            "created_at": datetime(2026, 11, 24, tzinfo=UTC),
            "versions": {"answers": 7, "lineage": 4},
            "facts": {
                "data_version": "9d5bfc6b",
                "model": "recorded-2026-11",
                "domain": "films",
                "tasks": ["kar_item"],
                "vectors": {"kar_item/dense": {"fingerprint": "0fafd758133a55d3", "dimension": 384}},
                "gates": [{"name": "no leak", "holds": True, "found": "0 leaks in 245,668 pairs"}],
                "software": {"torch": "2.13.0"},
            },
        },
        caveats=["The model may have seen the data in training."],
        seeds=3,
        seconds=312.44,
    )


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
        "Only 3 training seeds an arm",
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


CUTS = [
    {"share": 0.5, "time": "2007-08-02T20:31:02+00:00", "train_rows": 50418, "test_rows": 10083, "test_users": 61},
    {"share": 0.9, "time": "2017-04-26T13:35:31", "train_rows": 90752, "test_rows": 10084, "test_users": 94},
]


@pytest.fixture(scope="module")
def rolling(make_scores):
    """Rolling time: its own arms and segments, a constant among them, and few users in one segment."""
    scores = make_scores({"base": 0.5, "facts": 0.6, "shuffled": 0.5, "knowledge": 1.3}, rows=900, users=30)
    constant = np.full((3, 900), 0.5, dtype=np.float32)
    segments = {"all": scores.segments["all"], "after_cutoff": scores.user < 70}
    made = replace(scores, segments=segments, probabilities={**scores.probabilities, "constant": constant})
    return {**evaluate(made, replicates=50), "cuts": CUTS}


def test_both_protocols_stand_side_by_side_with_their_users(result, rolling, context):
    both = {**result, "rolling": rolling, "looks": 12, "conclusion": conclude_both(result, rolling)}

    text = render_report(json.loads(json.dumps(both)), context)
    page = Page(text)

    assert page.faults == []
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert {value[1:] for _, name, value in page.attributes if name == "href"} <= set(page.ids)
    assert "rolling" in page.ids
    share = rolling["segments"]["all"]["largest_user_share"]
    for words in (
        " ".join(both["conclusion"].split()),
        "What holds in both: over all test rows better than base and its facts control.",
        "Configured split: against base",
        "Rolling time: against facts",
        f"All test rows 900 rows, 30 users, the largest with {share:.1%} of the rows",
        "Rows after the model's knowledge cutoff",
        "No interval: 7 users: too few for an interval",
        "50.0% 2007-08-02 20:31 UTC 50,418 10,083 61",
        "90.0% 2017-04-26 13:35 UTC 90,752 10,084 94",
        "Test rows were looked at 12 times",
        "AUC of every seed, rolling time",
    ):
        assert words in page.words, words
    assert page.words.index("Configured split: against base") < page.words.index("Rolling time: against base")
    assert page.words.index("Rolling time: against base") < page.words.index("Configured split: against facts")


def test_one_protocol_alone_shows_no_word_of_another(result, context):
    page = Page(render_report(result, context))

    assert "rolling" not in page.ids
    assert "looks" not in page.ids
    assert "Rolling time" not in page.words
    assert "Configured split" not in page.words


def test_a_constant_is_shown_with_its_figures_but_has_no_interval_drawn_and_is_a_check(rolling, context):
    text = render_report(rolling, context)
    page = Page(text)

    loss = rolling["gains"]["base"]["constant"]["all"]["logloss"]
    assert "constant control 0.5000 ± 0.0000 0.5000 ± 0.0000" in page.words
    assert "base against constant all test rows (30 users, the largest with" in page.words
    assert f"{signed(loss['mean'])} LogLoss {interval(loss)} ✓ yes" in page.words
    assert "knowledge against shuffled all test rows" in page.words
    assert '<th scope="row" class="arm">constant</th>' not in text
    assert "against constant</strong>" not in text
    assert "AUC of each seed of constant" not in text


def test_a_calibration_error_stands_beside_its_floor_and_without_an_interval(result, context):
    page = Page(render_report(result, context))
    error = result["arms"]["knowledge"]["all"]["ece"]

    assert f"{error['mean']:.4f} ± {error['sd']:.4f} floor {error['floor']:.4f}" in page.words
    assert f"ECE {error['mean']:.4f} ({error['floor']:.4f} by chance alone)" in page.words
    assert "No interval is shown: sizes of gaps grow when rows are drawn" in page.words


def test_a_result_of_an_older_version_is_still_a_page_without_the_intervals_that_it_should_not_have(result, context):
    old = json.loads(json.dumps(result))
    for counts in old["segments"].values():
        del counts["largest_user_share"], counts["no_interval"]
    old["segments"]["cold"]["users"] = 12
    for by_segment in old["arms"].values():
        for by_metric in by_segment.values():
            del by_metric["ece"]["floor"]
    for by_control in old["gains"].values():
        for by_segment in by_control.values():
            for by_metric in by_segment.values():
                by_metric["ece"] = {"mean": 0.0012, "low": 0.0777, "high": 0.0778}
    gone = old["gains"]["knowledge"]["base"]["cold"]["auc"]

    page = Page(render_report(old, context))

    assert page.faults == []
    assert "[+0.0777, +0.0778]" not in page.words
    assert interval(gone) not in page.words
    assert "12 users. No interval: 12 users: too few for an interval" in page.words


def test_the_page_opens_with_no_gain_that_the_conclusion_does_not_claim(make_scores, context):
    scores = make_scores({"base": 0.5, "facts": 0.6, "shuffled": 1.3, "knowledge": 1.3})

    made = evaluate(scores, replicates=50)
    page = Page(render_report(made, context))

    assert made["gains"]["knowledge"]["base"]["all"]["auc"]["low"] > 0
    assert "yet not shown to be better than shuffled texts" in made["conclusion"]
    assert "gain shown" in page.words
    assert "▲ gain shown" not in page.words
    assert "✗ not shown" in page.words


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
