"""The leak check finds planted leaks in clocks, prompts and texts, and none where there is none."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.answers import answer_log
from feature_store.database import Store
from feature_store.leak_check import LeakReport, leak_check
from feature_store.leak_clocks import ELSEWHEN, SEEN, UNTRAINED
from feature_store.leak_clocks import SHOWN as LATER_THAN_AS_OF
from feature_store.leak_evidence import Evidence
from feature_store.leak_texts import NAMED as NAMED_IN
from feature_store.leak_texts import Names
from feature_store.lineage import row_key, write_lineage
from feature_store.releases import publish
from feature_store.schemas import ANSWERS, LINEAGE
from sources.tables import event_id

START = datetime(2024, 1, 1, tzinfo=UTC)
NAMED = NAMED_IN["prompt"]


def minute(number: float) -> datetime:
    return START + timedelta(minutes=number)


def events(rows: list[tuple[str, str, float]], names: dict[str, str] | None = None, *, rated: bool = True) -> Evidence:
    """(user, item, minute) -> training events shown as `Film ITEM: 4`, items `Film ITEM [Drama]`, unless `names` says."""
    called = {item: f"Film {item}" for _, item, _ in rows} | (names or {})
    shown = [called[item] + (": 4" if rated else "") for _, item, _ in rows]
    log = pl.DataFrame(
        {
            "user": pl.Series([user for user, *_ in rows], dtype=pl.String),
            "item": pl.Series([item for _, item, _ in rows], dtype=pl.String),
            "time": pl.Series([minute(at) for *_, at in rows], dtype=pl.Datetime("us", "UTC")),
            "rating": pl.Series([4.0 if rated else None for _ in rows], dtype=pl.Float32),
            "shown": pl.Series(shown, dtype=pl.String),
            "part": "train",
        }
    )
    items = pl.DataFrame(
        [(item, name, name, f"{name} [Drama]", "Drama") for item, name in called.items()],
        schema=dict.fromkeys(("item", "name", "title", "described", "says"), pl.String),
        orient="row",
    )
    return Evidence(log, items)


ROWS = [("u", "a", 0), ("u", "b", 1), ("u", "c", 2), ("v", "a", 1), ("v", "d", 3)]
LOG = events(ROWS)


def made(
    user: str,
    as_of: float,
    prompt: str,
    seen_until: float | None = None,
    text: str | None = "a text",
    kind: str = "user",
) -> tuple[dict, dict]:
    """A row of the lineage and its answer."""
    key = f"answer to {user} {as_of} {prompt}"
    clocks = {"as_of": minute(as_of), "seen_until": None if seen_until is None else minute(seen_until)}
    row = {
        "row": row_key("toy", user, minute(as_of)),
        "task": "toy",
        "entity_type": kind,
        "entity": user,
        "answer_key": key,
        "text": text,
    }
    answer = {
        "key": key,
        "text": text,
        "messages": json.dumps([{"role": "user", "content": prompt}]),
        "created_at": START,
    }
    return {**dict.fromkeys(LINEAGE.names), **row, **clocks}, {**dict.fromkeys(ANSWERS.names), **answer}


def walk(folder: Path, *rows: tuple[dict, dict], log: Evidence = LOG) -> LeakReport:
    """Release some rows and walk them."""
    store = Store(folder / "store")
    with store.writer("a test") as writer:
        with answer_log(writer) as answers:
            for _, answer in rows:
                answers.append(answer)
        write_lineage(writer, [row for row, _ in rows])
        release = publish(writer, {})
    return leak_check(store, release, log)


@pytest.fixture
def check(tmp_path_factory):
    """`walk` in a folder of its own."""
    return lambda *rows, log=LOG: walk(tmp_path_factory.mktemp("leak"), *rows, log=log)


HONEST = (
    made("u", 1, "History:\nFilm a: 4; Film b: 4", seen_until=1),
    made("v", 1, "History:\nFilm a: 4", seen_until=1),
)


def test_honest_rows_have_no_leak_and_the_walk_counts_what_it_saw(check):
    report = check(*HONEST)

    assert (report.leaks, report.counter_examples) == (0, ())
    # the sample of u at minute 2 and that of v at minute 3 see a row; those at or before minute 1 do not
    assert (report.rows, report.samples, report.pairs) == (2, 5, 2)


def test_a_prompt_that_shows_an_event_after_its_as_of_is_found(check):
    # its newest event is at 1.5, after as_of 1, and no sample lies before it that could see the row
    report = check(HONEST[1], made("u", 1, "nothing named", seen_until=1.5))

    assert [(e.question, e.row, e.time) for e in report.counter_examples] == [
        (LATER_THAN_AS_OF, row_key("toy", "u", minute(1)), minute(1.5))
    ]


def test_a_sample_that_sees_a_row_which_has_seen_the_sample_itself_is_found(check):
    report = check(HONEST[1], made("u", 1, "nothing named", seen_until=2))

    assert report.leaks == 2
    found = {e.question: e for e in report.counter_examples}
    assert set(found) == {LATER_THAN_AS_OF, SEEN}
    assert found[SEEN].event == "sample of user u on item c"
    assert found[SEEN].time == minute(2)


def test_an_item_row_that_has_seen_a_sample_of_the_item_is_found(check):
    report = check(made("d", 0, "what users of d said", seen_until=3, kind="item"))

    assert {e.question for e in report.counter_examples} == {LATER_THAN_AS_OF, SEEN}
    assert "sample of user v on item d" in [e.event for e in report.counter_examples]


def test_a_later_event_named_in_the_stored_prompt_is_found_though_all_clocks_lie(check):
    report = check(HONEST[1], made("u", 1, "History:\nFilm a: 4; Film b: 4; Film c: 4", seen_until=1))

    (found,) = report.counter_examples
    assert (found.question, found.event, found.as_of, found.time) == (NAMED, "Film c: 4", minute(1), minute(2))


def test_an_event_seen_again_later_is_no_leak_and_shown_once_too_often_is_one(check):
    again = events([("u", "a", 0), ("u", "b", 1), ("u", "a", 2)])

    honest = check(made("u", 1, "History:\nFilm a: 4; Film b: 4", seen_until=1), log=again)
    leaky = check(made("u", 1, "History:\nFilm a: 4; Film b: 4; Film a: 4", seen_until=1), log=again)

    assert honest.leaks == 0
    assert [e.question for e in leaky.counter_examples] == [NAMED]


def test_an_item_that_is_called_like_a_word_of_the_instructions_is_no_leak(check):
    # data without ratings shows names alone, and a film may be called `history`
    log = events(ROWS, {"a": "a", "b": "b", "c": "history", "d": "history"}, rated=False)
    rows = (
        made("u", 1, "Given this history, say:\na; b", seen_until=1),
        made("v", 1, "Given this history, say:\na", seen_until=1),
    )

    assert check(*rows, log=log).leaks == 0
    leaky = made("u", 1, "Given this history, say:\na; b; history", seen_until=1)
    assert [e.event for e in check(leaky, rows[1], log=log).counter_examples] == ["history"]


def test_an_event_of_another_user_is_no_event_of_this_one(check):
    assert check(HONEST[0], made("v", 1, "History:\nFilm a: 4; Film c: 4", seen_until=1)).leaks == 0


def test_a_row_without_a_text_is_seen_by_no_sample(check):
    assert check(HONEST[1], made("u", 1, "Film c: 4", seen_until=9, text=None)).leaks == 0


def test_all_leaks_are_counted_and_the_first_twenty_are_shown(check):
    log = events([("u", str(number), number) for number in range(40)])
    prompt = "History:\n" + "; ".join(f"Film {number}: 4" for number in range(40))

    report = check(made("u", 9, prompt, seen_until=9), log=log)

    assert report.leaks == 30
    assert len(report.counter_examples) == 20
    assert json.loads(json.dumps(report.to_dict()))["counter_examples"][0]["time"] == minute(10).isoformat()


@settings(deadline=None, max_examples=25)
@given(
    times=st.lists(st.integers(0, 9), min_size=2, max_size=8),
    shown=st.integers(1, 8),
    lie=st.integers(0, 3),
)
def test_a_row_leaks_exactly_when_its_prompt_holds_an_event_after_its_as_of(tmp_path_factory, times, shown, lie):
    times = sorted(times)
    shown = min(shown, len(times))
    log = events([("u", f"x{place}", at) for place, at in enumerate(times)])
    as_of = times[shown - 1] - lie  # an as_of that is `lie` minutes too early
    prompt = "History:\n" + "; ".join(f"Film x{place}: 4" for place in range(shown))

    report = walk(tmp_path_factory.mktemp("leak"), made("u", as_of, prompt, seen_until=as_of), log=log)

    assert report.leaks == sum(at > as_of for at in times[:shown])


def reasoning(user: str, item: str, as_of: float, history: str, target: str | None = None) -> tuple[dict, dict]:
    """A row about an event and its answer; the prompt as that of cot_examples shows it."""
    shown = f"Explain.\nHistory:\n{history}\nTarget:\n{target or f'Film {item} [Drama]'}\nDecision:\nlikes"
    return made(event_id(user, item), as_of, shown, seen_until=as_of, kind="event")


def test_a_row_about_an_event_may_show_what_lies_strictly_before_it(check):
    report = check(reasoning("u", "c", 2, "Film a: 4; Film b: 4"), reasoning("v", "d", 3, "Film a: 4"))

    assert (report.rows, report.leaks) == (2, 0)


def test_an_event_of_the_target_s_own_second_in_its_history_is_found(check):
    log = events([("u", "a", 0), ("u", "b", 1), ("u", "c", 1)])
    honest = reasoning("u", "c", 1, "Film a: 4")
    leaky = reasoning("u", "c", 1, "Film a: 4; Film b: 4")

    assert check(honest, log=log).leaks == 0
    assert [(e.question, e.event, e.time) for e in check(leaky, log=log).counter_examples] == [
        (NAMED, "Film b: 4", minute(1))
    ]


def test_a_target_that_stands_in_its_own_history_is_found(check):
    (found,) = check(reasoning("u", "b", 1, "Film a: 4; Film b: 4")).counter_examples

    assert (found.question, found.event) == (NAMED, "Film b: 4")


def test_without_ratings_the_target_may_be_named_as_the_target_and_nowhere_else(check):
    # events are shown by their names alone, and so the target's description holds the name of its event
    log = events(ROWS, rated=False)
    honest, leaky = reasoning("u", "c", 2, "Film a; Film b"), reasoning("u", "c", 2, "Film b; Film c")

    assert check(honest, log=log).leaks == 0
    assert [e.event for e in check(leaky, log=log).counter_examples] == ["Film c"]


def test_an_item_that_is_called_like_a_heading_of_the_prompt_is_no_leak(check):
    log = events(ROWS, {"c": "Target"}, rated=False)
    rows = (reasoning("u", "b", 1, "Film a"), reasoning("v", "d", 3, "Film a"))

    assert check(*rows, log=log).leaks == 0
    leaky = reasoning("u", "b", 1, "Film a; Target")
    assert [e.event for e in check(leaky, rows[1], log=log).counter_examples] == ["Target"]


@pytest.mark.parametrize("part", ["validation", "test"])
def test_the_outcome_of_an_event_that_does_not_train_is_found(check, part):
    whose = pl.when(pl.col("item") == "c").then(pl.lit(part)).otherwise(pl.lit("train"))
    log = replace(LOG, events=LOG.events.with_columns(part=whose))

    (found,) = check(reasoning("u", "c", 2, "Film a: 4"), reasoning("u", "b", 1, "Film a: 4"), log=log).counter_examples

    assert (found.question, found.time) == (UNTRAINED, minute(2))
    assert found.row == row_key("toy", event_id("u", "c"), minute(2))
    assert found.event == "event of user u with item c"


def test_an_outcome_told_before_its_time_is_found(check):
    (found,) = check(reasoning("u", "c", 1.5, "Film a: 4")).counter_examples

    assert (found.question, found.as_of, found.time) == (ELSEWHEN, minute(1.5), minute(2))


def test_a_user_who_meets_an_item_again_may_have_a_row_about_either_time(check):
    log = events([("u", "a", 0), ("u", "b", 1), ("u", "b", 3)])

    assert (
        check(reasoning("u", "b", 1, "Film a: 4"), reasoning("u", "b", 3, "Film a: 4; Film b: 4"), log=log).leaks == 0
    )


def test_a_row_about_an_event_that_has_left_the_log_tells_no_sample_anything(check):
    assert check(reasoning("u", "z", 2, "Film a: 4")).leaks == 0


def test_among_few_items_the_same_ones_carry_a_name_as_among_all():
    called = {f"i{n}": name for n, name in enumerate(["Heat", "The Heat", "Red Heat II", "Alien", *"BCDEFGHIJKLM"])}
    names = Names(events([("u", item, 0) for item in called], called).items)
    patterns, few = names.patterns["pattern"].unique(), pl.Series(["i1", "i2", "i9"])

    found = names.carriers_of(patterns, few)

    assert "carriers" not in vars(names)  # not all items were looked at
    whole = names.carriers.filter(pl.col("item").is_in(few.implode()))
    assert found.sort("pattern", "item").equals(whole.sort("pattern", "item"))
