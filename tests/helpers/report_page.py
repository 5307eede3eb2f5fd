"""A report to look at: its context with something in every part, and a reader of the page."""

from collections import Counter
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from evals.reliability import calibration_curves
from evals.report import InContext, ReportContext

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
