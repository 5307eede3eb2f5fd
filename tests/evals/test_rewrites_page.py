"""The evaluation of rewrites in words: tables, verdicts, cases won and lost, and nothing unescaped."""

from datetime import UTC, datetime

import numpy as np
import pytest

from evals.by_user import Parts
from evals.page import render_page
from evals.rewrites import METRICS, Queries, summarise
from evals.rewrites_page import CAVEATS, changed, conclusion, page_sections, segment_table
from retrieval.search_arms import Arm

ATTACK = "<script>alert('x')</script>"
NUMBER = 12
QUERIES = Queries(
    [f"q{n}" for n in range(NUMBER)],
    [ATTACK, *[f"Q{n}" for n in range(1, NUMBER)]],
    [np.array([0, 1, 2])] * NUMBER,
    np.array(["tail"] * NUMBER),
    np.arange(NUMBER) != 3,  # query 3 is not held out
    np.zeros(NUMBER, dtype=np.int64),
    Parts(np.arange(NUMBER), np.arange(NUMBER), np.ones(NUMBER)),  # a query and an item a user
)
BEFORE, AFTER = np.array([[0, 9]] * NUMBER), np.array([[0, 1]] * NUMBER)
AFTER[5] = [8, 9]  # what was found is lost
ARMS = {"original": Arm("as typed", BEFORE, BEFORE), "recorded": Arm("rewritten", AFTER, AFTER)}
HITS = {"original": np.full(NUMBER, 1 / 3), "recorded": np.where(np.arange(NUMBER) == 5, 0, 2 / 3)}
TITLES = [ATTACK, *[f"Film {n}" for n in range(1, 10)]]


@pytest.fixture
def result() -> dict:
    values = {name: dict.fromkeys(METRICS, hits) for name, hits in HITS.items()}
    found = summarise(values, QUERIES, replicates=50)
    told = {"threshold": 0.25, "auc": 0.75, "accuracy": 0.7, "engaged": 1234, "random": 1234}
    return {
        **{name: found["segments"]["held_out_tail"][name] for name in ("original", "recorded", "gain")},
        "queries": NUMBER,
        "headline": {"segment": "held_out_tail", "metric": "hit@50", "documents": "fields", "queries": 11},
        **found,
        "documents": {"fields": found},
        "about": {name: arm.about for name, arm in ARMS.items()},
        "rewrites": {"recorded": NUMBER},
        "calibration": {"model": "lexical", **told, "models": {"lexical": told}},
        "left_out": [f"dense: {ATTACK}"],
    }


def rendered(result: dict) -> str:
    sections = page_sections(result, QUERIES, {"recorded": [[ATTACK]] * NUMBER}, ARMS, HITS, TITLES)
    return render_page("Rewrites", datetime.now(UTC), "knowflow eval rewrites", sections, conclusion(result))


def test_the_page_says_everything_it_must(result):
    html = rendered(result)
    # 11 held-out tail queries: (10 * 2/3 + 0) / 11 = 0.606 after, 0.333 before
    for words in ("11 held-out tail queries of 12", "60.6%", "33.3%", "1,234", "rewritten", "Made by KnowFlow"):
        assert words in html
    assert all(str(caveat)[:40].split("'")[0] in html for caveat in CAVEATS)
    assert "found by recorded only" in html
    assert "found by original only" in html


def test_queries_rewrites_titles_and_messages_are_escaped(result):
    html = rendered(result)
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;") > 10


def test_only_held_out_queries_are_shown_largest_change_first():
    gain = np.array([0.1, 0.5, -0.2, 0.9, 0, 0.5, -0.7, 0, 0, 0, 0, 0])
    assert changed(gain, QUERIES) == ([1, 5, 0], [6, 2])  # 3 would be first


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.3, "rewriting helps"), (-0.1, 0.3, "no gain is shown"), (-0.3, -0.1, "rewriting hurts")],
)
def test_a_gain_is_claimed_only_where_the_interval_excludes_zero(result, low, high, verdict):
    gain = {"mean": 0.2, "low": low, "high": high, "users": 31, "largest_user": 0.25}
    assert f", {verdict}. 31 users typed them, one of whom accounts for 25.0%" in conclusion({**result, "gain": gain})


def test_with_few_users_nothing_is_claimed_and_the_reason_is_told(result):
    said = conclusion(result)

    assert "+0.273 (11 users: no interval), too few users for an interval (11 of 20). 11 users typed them" in said
    assert "rewriting" not in said
    (row,) = [row for row in segment_table(result, "fields").rows if row[0] == "held-out tail queries"]
    assert list(row[-3:]) == ["+0.273 (11 users: no interval)", "11", "9.1%"]


def test_without_rewrites_on_record_only_the_original_is_told(result):
    assert "33.3%" in conclusion({**result, "gain": None, "recorded": None})


def test_a_segment_without_queries_shows_dashes(result):
    (head,) = [row for row in segment_table(result, "fields").rows if row[0] == "head"]
    assert list(head) == ["head", "0", "–", "–", "–", "0", "–"]
