"""Every kind of planted leak is found, for the right reason, and what only looks like one is not."""

import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from feature_store.leak_check import FIX
from feature_store.leak_clocks import ELSEWHEN, FORGOTTEN, LOST, SEEN, SHOWN, UNDATED
from feature_store.leak_evidence import Evidence
from feature_store.leak_made import UNSAID
from feature_store.leak_ratings import RATED
from feature_store.leak_texts import LED_TO, NAMED
from feature_store.lineage import EPOCH

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))  # the planted kinds, shared with honesty.py

import leak_kinds
from leak_kinds import ASK, KINDS, U, honest, made, minute, reason, rewritten, told

WHY = {
    "a prompt newer than its as_of": SHOWN,
    "a later event as a history shows it": NAMED["prompt"],
    "a later event without its rating": NAMED["prompt"],
    "a later event in other words": NAMED["prompt"],
    "the same later line in all prompts": NAMED["prompt"],
    "a text without a prompt that lists later events": NAMED["text"],
    "an item's prompt with later ratings": RATED,
    "a query's prompt with what it led to": LED_TO,
    "a reasoning about a test event dated a minute after it": ELSEWHEN,
    "a text that says what its answer does not": NAMED["answer"],
    "a served rewrite that no model wrote": LED_TO,
    "an encoder fitted on later texts": UNSAID,
    "a tuned encoder whose release forgets what it has seen": UNSAID,
    "a tuned model's row from before its tuning": FORGOTTEN,
}


@pytest.fixture
def walk(tmp_path):
    """Release a world and check it, by the toy shop's data or by other."""
    places = iter(range(100))

    def check(world, evidence: Evidence | None = None):
        with pytest.MonkeyPatch.context() as patch:
            if evidence is not None:
                patch.setattr(leak_kinds, "evidence", lambda: evidence)
            return leak_kinds.walk(world, tmp_path / str(next(places)))

    return check


def test_an_honest_release_with_rows_of_every_sort_has_no_leak(walk):
    report = walk(honest())

    assert (report.leaks, report.counter_examples) == (0, ())
    # 13 rows of the lineage and a served rewrite; 5 prompts about users, items and events, 2 about queries, ...
    assert (report.rows, report.samples) == (14, 10)
    assert report.texts == 14


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_leak_is_found_for_the_right_reason(walk, kind):
    report = walk(KINDS[kind](honest()))

    assert report.leaks > 0
    assert {example.question for example in report.counter_examples} == {WHY[kind]}
    assert all(example.fix for example in report.counter_examples)


def test_there_are_fourteen_kinds_and_the_figure_counts_those_that_are_found(monkeypatch):
    assert len(KINDS) == len(WHY) == 14
    first = next(iter(KINDS))
    monkeypatch.setattr(leak_kinds, "KINDS", {first: KINDS[first], "nothing planted": lambda world: world})

    assert leak_kinds.leak_kinds_found() == (1, 2)


@pytest.mark.parametrize(
    "said",
    [
        "Cabaret (1972)",
        "CABARET 1972",
        "cabaret, 1972 - five stars",
        "| Cabaret |",
        "Then came Cabaret (1972), which the user loved",
        "the   long\ngoodbye",
        "“Amelie”",
        "Ame\u0301lie (2001)",
        "The Long Goodbye (1973): 2.0",
    ],
)
def test_a_later_film_is_found_however_it_is_written(walk, said):
    world = honest().changed("told", "u", told(f"{U}\n{said}"))

    assert {example.question for example in walk(world).counter_examples} == {NAMED["prompt"]}


@pytest.mark.parametrize(
    "said",
    [
        "The user sings in a cabaret on Fridays",  # a title of one word is a word
        "Aliens (1986)",  # no event of this user
        "Alien (1979), Brazil (1985) and once more Alien (1979)",  # earlier ones, as often as one likes
        "a long goodbye",
    ],
)
def test_what_only_looks_like_a_later_film_is_none(walk, said):
    assert walk(honest().changed("told", "u", told(f"{U}\n{said}"))).leaks == 0


def test_a_user_s_own_fields_explain_a_name(walk):
    world = honest().changed("told", "u", told(f"{U}\nFrom the club The Long Goodbye"))
    users = pl.DataFrame({"user": ["u"], "says": ["The Long Goodbye\n44"]})

    assert walk(world).leaks == 1
    assert walk(world, replace(leak_kinds.evidence(), users=users)).leaks == 0


def test_the_instructions_of_a_prompt_explain_a_name_and_other_shared_lines_do_not(walk):
    line = "For example: Cabaret (1972): 5\n"
    rows = {
        "u": made("told", "user", "u", minute(1), line + U, seen_until=minute(1), prompt_digest="d"),
        "v": made("told", "user", "v", minute(1), line + "Brazil (1985): 5", seen_until=minute(1), prompt_digest="d"),
    }
    world = honest().changed("told", "u", rows["u"]).changed("told", "v", rows["v"])

    assert walk(world).leaks == 1  # v never met it
    assert walk(world, replace(leak_kinds.evidence(), instructions={"d": line})).leaks == 0


def test_a_quoted_text_of_another_row_explains_a_name_when_it_was_known_by_then(walk):
    quoted = "A film like Cabaret (1972) in its bitterness."
    early = made("about", "item", "b", EPOCH, "Tell.\nBrazil (1985) [Comedy]", quoted)
    late = made("about", "item", "b", minute(2), "Tell.\nBrazil (1985) [Comedy]", quoted, seen_until=minute(2))
    by_nobody = made("about", "item", "b", EPOCH, None, quoted)
    world = honest().changed("told", "u", told(f"{U}\n{quoted}"))

    assert walk(world.changed("about", "b", early)).leaks == 0
    assert {e.question for e in walk(world.changed("about", "b", late)).counter_examples} == {NAMED["prompt"]}
    assert {e.question for e in walk(world.changed("about", "b", by_nobody)).counter_examples} == {NAMED["prompt"]}
    beside = honest().changed("told", "u", told(f"{U}\n{quoted}\nCabaret (1972)"))
    assert walk(beside.changed("about", "b", early)).leaks == 1


def about_a(said: str, as_of=EPOCH, **changes):
    return honest().changed(
        "about", "a", made("about", "item", "a", as_of, f"Tell.\nAlien (1979) [Horror]\n{said}", **changes)
    )


@pytest.mark.parametrize(
    "said",
    ["Ratings: 2", "4; 2", "Alien (1979): 4", "mean 3 of 2 ratings", "liked by a user with 4/5", "scored 4.0 and 2.0"],
)
def test_later_ratings_of_an_item_are_found(walk, said):
    (found,) = walk(about_a(said)).counter_examples

    assert (found.question, found.as_of, found.time) == (
        RATED,
        EPOCH,
        minute(0 if "4" in said or "mean" in said else 2),
    )


@pytest.mark.parametrize("said", ["1979", "2 Oscars", "117 minutes, 11 roles", "Ratings: 1", "part 2 of 8", "Rated R"])
def test_numbers_that_are_no_later_ratings_are_none(walk, said):
    assert walk(about_a(said)).leaks == 0


def test_ratings_up_to_as_of_may_be_told_and_later_ones_not(walk):
    # alien was rated 4 at minute 0 and 2 at minute 2
    assert walk(about_a("Ratings: 4", minute(1), seen_until=minute(0))).leaks == 0
    assert {e.question for e in walk(about_a("Ratings: 4, 2", minute(1), seen_until=minute(0))).counter_examples} == {
        RATED
    }


def test_an_item_s_own_fields_explain_numbers(walk):
    toy = leak_kinds.evidence()
    fields = pl.when(pl.col("item") == "a").then(pl.lit("Horror\nstars: 4, 2")).otherwise("says").alias("says")

    assert walk(about_a("stars: 4, 2")).leaks == 1
    assert walk(about_a("stars: 4, 2"), replace(toy, items=toy.items.with_columns(fields))).leaks == 0


def test_a_text_about_an_item_that_no_model_wrote_is_read_too(walk):
    world = honest().changed("facts", "a", made("facts", "item", "a", EPOCH, None, "Alien (1979) [Horror], rated 4, 2"))

    assert {example.question for example in walk(world).counter_examples} == {RATED}


def test_a_tested_search_sees_no_row_that_has_seen_it(walk):
    # `fast machines` is tested at minute 4; its rewrites are of a model that was tuned on events up to minute 4
    late = made("rewrite", "query", "fast machines", EPOCH, "Rewrite.\nQuery: fast machines", "slow cars\nquick engines",
                model_seen_until=minute(4), answered_until=minute(4))  # fmt: skip
    report = walk(honest().changed("rewrite", "fast machines", late))

    found = {(example.question, example.row.split("/")[0]) for example in report.counter_examples}
    assert found == {(UNDATED, "rewrite"), (SEEN, "rewrite"), (SEEN, "rewrites")}
    training = replace(leak_kinds.evidence(), queries=leak_kinds.evidence().queries.with_columns(tested=pl.lit(False)))
    assert {
        e.question for e in walk(honest().changed("rewrite", "fast machines", late), training).counter_examples
    } == {UNDATED}


def test_words_of_the_query_itself_are_no_leak(walk):
    toy = leak_kinds.evidence()
    named = toy.queries.with_columns(item=pl.lit("e"), query=pl.col("query").replace("space monster", "amélie"))
    rows = made("rewrite", "query", "amélie", EPOCH, "Rewrite.\nQuery: Amélie", "french film")

    assert walk(honest().changed("rewrite", "space monster", rows), replace(toy, queries=named)).leaks == 0


def test_a_rewrite_may_name_what_its_model_thought_of(walk):
    answer = '{"rewrites": ["the long goodbye", "quick engines"]}'
    world = replace(honest(), rewrites=("the long goodbye", "quick engines"))

    assert walk(world.changed("rewrite", "fast machines", rewritten("fast machines", answer))).leaks == 0


def test_a_row_whose_answer_is_gone_cannot_be_checked_and_is_told(walk):
    row, _ = told(U)
    (found,) = walk(honest().changed("told", "u", (row, None))).counter_examples

    assert (found.question, found.time) == (LOST, None)


@pytest.mark.parametrize("at", [2.5, 4, 9, -1])
def test_a_reasoning_must_carry_the_time_of_its_event(walk, at):
    from sources.tables import event_id

    world = honest().changed("reason", event_id("u", "c"), reason("c", at, history="Alien (1979): 4" if at > 0 else ""))

    assert ELSEWHEN in {example.question for example in walk(world).counter_examples}


def test_rows_of_a_tuned_model_that_are_dated_by_its_tuning_are_no_leak(walk):
    dated = made("about", "item", "a", minute(3), "Tell.\nAlien (1979) [Horror]",
                 model_seen_until=minute(3), answered_until=minute(3))  # fmt: skip
    early = made("about", "item", "a", EPOCH, "Tell.\nAlien (1979) [Horror]",
                 model_seen_until=minute(3), answered_until=minute(3))  # fmt: skip

    assert walk(honest().changed("about", "a", dated)).leaks == 0
    assert {e.question for e in walk(honest().changed("about", "a", early)).counter_examples} == {UNDATED, SEEN}


def test_an_encoder_that_was_fitted_on_dated_texts_may_be_released_as_such(walk):
    planted = KINDS["an encoder fitted on later texts"](honest())

    assert walk(replace(planted, facts=(("listed/lexical", minute(3).isoformat()),))).leaks == 0
    found = walk(replace(planted, facts=(("listed/lexical", minute(2).isoformat()),))).counter_examples
    # u's sample at minute 3 would get the vector of minute 1
    assert [(e.question, e.time) for e in found] == [(UNSAID, minute(3))]


def test_many_leaks_of_one_kind_do_not_hide_another(walk):
    world = honest()
    for user in ("u", "v"):
        world = world.changed("told", user, made("told", "user", user, minute(1), ASK + "; ".join(
            name for name, *_ in leak_kinds.ITEMS.values()), seen_until=minute(9)))  # fmt: skip

    report = walk(world)

    assert {example.question for example in report.counter_examples} == {SHOWN, SEEN, NAMED["prompt"]}
    assert {example.fix for example in report.counter_examples} == {FIX.replace("TASK", "told")}
