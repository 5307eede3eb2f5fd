"""LLM-CF's examples: the very prompts of the recorded answers, training events alone, balanced, spread, and stable."""

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import START, dataset, log

from base.faults import WrongUse
from llm_tasks.cot_examples import EVENT, CotExamplesOptions, chosen_events, cot_examples, event_hashes, spread
from llm_tasks.pipeline.plan import plan_task, task_rows
from llm_tasks.pipeline.task import Inputs
from prompts.domain import load_domain
from prompts.library import choose_prompt
from sources.config import SplitConfig
from sources.events import with_parts
from sources.tables import event_id, event_of

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "movielens"
FILMS = load_domain("films")


@pytest.fixture(scope="module")
def free(example):
    """The inputs on MovieLens without a list: the technique chooses."""
    return replace(example.inputs_of(cot_examples), listed=None)


@pytest.fixture(scope="module")
def chosen(example, free):
    """600 chosen events of MovieLens with their labels."""
    return chosen_events(free).join(example.dataset.events, on=EVENT)


def recorded() -> pl.DataFrame:
    return pl.read_parquet(EXAMPLE / "recorded" / "cot.parquet")


def test_every_recorded_event_is_asked_about_character_by_character(example):
    asked = {(row.entity, row.as_of): dict(row.variables) for row in cot_examples.rows(example.inputs_of(cot_examples))}
    wanted = {
        (event_id(str(user), str(item)), time): {"history": history, "target": target, "decision": decision}
        for user, item, time, history, target, decision in recorded()
        .select("user_id", "item_id", "timestamp", "history", "target", "decision")
        .iter_rows()
    }

    assert len(wanted) == 632
    assert asked == wanted


def test_the_prompt_is_the_recorded_one_character_by_character():
    shown = {"history": "Heat (1995): 4; Fargo (1996): 5", "target": "Ran (1985) [Drama, War]", "decision": "likes"}

    assert choose_prompt("cot_examples", 1).render(shown, FILMS) == [
        {
            "role": "user",
            "content": "Given the history, the target movie and the user's actual decision, write the chain of thought behind "
            "the decision: (1) profile of the user, (2) the target movie and movies related to it, (3) the match between "
            "them, (4) the user's wish for diversity; conclude with the decision.\n"
            "70-100 words. Answers in English, plain text, one paragraph, no markdown.\n\n"
            "History:\nHeat (1995): 4; Fargo (1996): 5\n\nTarget:\nRan (1985) [Drama, War]\n\nDecision:\nlikes",
        }
    ]
    assert choose_prompt("cot_examples", 1).front.sampling["temperature"] == 0.6


def test_the_recorded_engine_answers_every_row_and_the_reasoning_alone_is_encoded(example):
    planned = task_rows(cot_examples, choose_prompt("cot_examples"), example)
    answers = {
        answer.key: answer for answer in example.engine.generate(request for _, request, _, _ in planned if request)
    }
    texts = set(recorded()["answer"])

    assert len(answers) == 632
    assert {answer.error for answer in answers.values()} == {None}
    assert {cot_examples.encode(answer.text) for answer in answers.values()} == texts


def test_a_row_knows_its_outcome_and_is_as_new_as_its_event(example):
    for row in cot_examples.rows(example.inputs_of(cot_examples)):
        assert row.as_of == row.seen_until

    times = {event_id(u, i): t for u, i, t in example.dataset.events.select(EVENT).iter_rows()}
    assert all(times[row.entity] == row.as_of for row in plan_task(cot_examples, example).rows)


def test_half_of_600_events_are_liked_and_all_of_them_train(example, chosen):
    assert len(chosen) == 600
    assert chosen["label"].to_list().count(1.0) == 300
    assert set(chosen.join(example.dataset.events, on=EVENT)["part"]) == {"train"}


def test_the_events_are_spread_over_users_items_and_time(example, chosen):
    training = example.dataset.events.filter(pl.col("part") == "train")

    assert max(Counter(chosen["user"]).values()) <= 2  # one a label
    assert max(Counter(chosen["item"]).values()) <= 2
    assert chosen["user"].n_unique() > 400  # of 610
    assert set(chosen["time"].dt.year()) == set(training["time"].dt.year())
    # 600 rows drawn blindly have a fifth of all users' heaviest tenth more often: a spread has them as often as others
    heavy = set(training["user"].value_counts(sort=True)["user"][:61])
    assert sum(user in heavy for user in chosen["user"]) < 600 * 0.2


def test_new_events_displace_few_of_the_chosen_ones(example, free, chosen):
    """The log as it was when the newest 5% of the events had not happened: what was chosen then is mostly chosen now."""
    events = example.dataset.events
    older = with_parts(events.head(int(len(events) * 0.95)), SplitConfig())
    then = replace(free, dataset=replace(example.dataset, events=older))

    kept = chosen_events(then).join(chosen, on=EVENT, how="semi")

    assert len(kept) >= 0.9 * 600


def test_the_choice_depends_on_neither_the_order_of_the_rows_nor_the_process(free, chosen):
    shuffled = free.dataset.events.sample(fraction=1, shuffle=True, seed=1)
    training = free.dataset.events.filter(pl.col("part") == "train").select(*EVENT, "label")

    assert spread(training, 50).equals(spread(training.sample(fraction=1, shuffle=True, seed=3), 50))
    hashes = event_hashes(shuffled)
    assert hashes.n_unique() == len(shuffled)
    # Worked out in plain Python for one event by the definition, so that another version of a library changes nothing.
    assert event_hashes(pl.DataFrame(ONE)).to_list() == [plain_hash("7", "318", ONE["time"][0])]


ONE = {"user": ["7"], "item": ["318"], "time": [datetime(2005, 1, 25, 6, 47, 58, tzinfo=UTC)]}


def plain_hash(user: str, item: str, time: datetime) -> int:
    import hashlib

    def mixed(value: int) -> int:
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) % 2**64
        return value ^ (value >> 31)

    value = int(time.timestamp()) * 1_000_000
    for one in (user, item):
        value = (mixed(value) + int.from_bytes(hashlib.blake2b(one.encode(), digest_size=8).digest(), "little")) % 2**64
    return mixed(value)


def rows_of(logs, length: int = 4, **options) -> list:
    return list(cot_examples.rows(Inputs(dataset(logs), FILMS, CotExamplesOptions(history_length=length, **options))))


@settings(deadline=None, max_examples=150)
@given(logs=st.dictionaries(st.sampled_from(["a", "b", "c"]), log, min_size=1), number=st.sampled_from([2, 4, 600]))
def test_a_history_holds_the_newest_strictly_earlier_events_of_its_user_and_a_target_trains(logs, number):
    data, rows = dataset(logs), rows_of(logs, examples=number)
    training = {
        (user, item, time): label
        for user, item, time, label in data.events.filter(pl.col("part") == "train").select(*EVENT, "label").iter_rows()
    }
    labels = []

    for row in rows:
        user, item = event_of(row.entity)
        labels.append(training[user, item, row.as_of])
        earlier = [(i, r) for minute, i, r in sorted(logs[user]) if START + timedelta(minutes=minute) < row.as_of]
        assert earlier
        assert row.variables["history"] == "; ".join(f"Film {i}: {r:g}" for i, r in earlier[-4:])
        assert row.variables["target"] == f"Film {item}"
        assert row.variables["decision"] == ("likes" if labels[-1] else "does not like")
    assert labels.count(1.0) == labels.count(0.0) <= number // 2


@settings(deadline=None, max_examples=60)
@given(logs=st.dictionaries(st.sampled_from(["a", "b", "c"]), log, min_size=1), number=st.sampled_from([2, 4]))
def test_as_many_events_are_chosen_as_there_may_be(logs, number):
    data = dataset(logs)
    first = {user: min(minute for minute, *_ in rows) for user, rows in logs.items() if rows}
    there = Counter(
        label
        for user, time, label in data.events.filter(pl.col("part") == "train")
        .select("user", "time", "label")
        .iter_rows()
        if time > START + timedelta(minutes=first[user])
    )

    assert len(rows_of(logs, examples=number)) == 2 * min(number // 2, there[0.0], there[1.0])


def made(rows: list[tuple[str, str, int]]) -> pl.DataFrame:
    """(user, item, month) -> liked and disliked events alike, so that one label shows what the other does."""
    both = [(f"{user}{label}", f"{item}{label}", month, label) for user, item, month in rows for label in (0, 1)]
    times = [datetime(2020 + month // 12, 1 + month % 12, 3, tzinfo=UTC) for *_, month, _ in both]
    return pl.DataFrame(
        {
            "user": [user for user, *_ in both],
            "item": [item for _, item, *_ in both],
            "time": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
            "label": pl.Series([float(label) for *_, label in both], dtype=pl.Float32),
        }
    )


def test_no_user_has_two_before_every_user_has_one():
    heavy = [("heavy", f"i{number}", number) for number in range(30)]
    light = [(f"u{number}", f"j{number}", 0) for number in range(9)]

    users = Counter(spread(made([*heavy, *light]), 20)["user"])

    assert set(users.values()) == {1}
    assert len(users) == 20


def test_no_item_has_two_while_others_have_none():
    popular = [(f"u{number}", "hit", 0) for number in range(30)]
    rare = [(f"v{number}", f"j{number}", 0) for number in range(9)]

    items = Counter(spread(made([*popular, *rare]), 20)["item"])

    assert set(items.values()) == {1}
    assert len(items) == 20


def test_every_month_has_one_before_a_month_has_two():
    busy = [(f"u{number}", f"i{number}", 5) for number in range(60)]
    quiet = [(f"v{number}", f"j{number}", 10 + number) for number in range(9)]

    months = Counter(spread(made([*busy, *quiet]), 20)["time"])

    assert set(months.values()) == {2}  # one of either label
    assert len(months) == 10


def test_a_log_in_which_one_label_is_missing_has_no_examples():
    assert rows_of({"a": [(minute, minute, 5.0) for minute in range(8)]}) == []
    assert rows_of({}) == []


@pytest.mark.parametrize("number", [0, 3, 601, -2])
def test_a_number_of_examples_that_has_no_half_is_refused(number):
    with pytest.raises(ValueError, match="examples"):
        CotExamplesOptions(examples=number)


def test_a_history_that_is_too_long_loses_its_oldest_events_down_to_one():
    logs = {"a": [(minute, minute, 5.0 if minute % 2 else 1.0) for minute in range(8)]}
    row = max(rows_of(logs), key=lambda row: row.as_of)
    histories = []

    while row is not None:
        histories.append(re.findall(r"Film (\d)", row.variables["history"]))
        assert row.as_of == row.seen_until
        row = row.shorter()

    assert [len(shown) for shown in histories] == [4, 3, 2, 1]
    assert all(longer[1:] == shorter for longer, shorter in pairwise(histories))


def test_a_listed_event_that_does_not_train_is_left_out():
    logs = {"a": [(minute, minute, 4.5) for minute in range(10)]}
    data = dataset(logs)
    inputs = Inputs(data, FILMS, CotExamplesOptions(), listed=data.events.select(EVENT))

    assert [event_of(row.entity)[1] for row in cot_examples.rows(inputs)] == [str(number) for number in range(1, 8)]


def test_a_list_of_events_is_read_from_three_columns(make_shop):
    shop = make_shop(
        events=10, tasks={"cot_examples": {"only": {"path": "few.csv", "column": ["who", "what", "when"]}}}
    )
    events = [(user, item, time.timestamp()) for user, item, time, _ in shop.events() if user == "u1"]
    pl.DataFrame(events, schema=["who", "what", "when"], orient="row").write_csv(shop.folder / "few.csv")

    rows = shop.plan("cot_examples").rows

    assert len(rows) == 7  # of 8 training events the first has nothing before it
    assert {event_of(row.entity)[0] for row in rows} == {"u1"}


@pytest.mark.parametrize(
    ("task", "column", "words"),
    [
        ("cot_examples", "item", r"tasks\.cot_examples\.only\.column: has one name\n  give three"),
        ("cot_examples", ["user", "item", "day"], r"has no column 'day'\n  it has user, item, time, rating"),
        ("cot_examples", ["user", "item", "user"], r"20 values of user are not a time"),
        (
            "kar_item",
            ["user", "item", "time"],
            r"tasks\.kar_item\.only\.column: has three names\n  give one, of item ids",
        ),
    ],
)
def test_a_list_that_does_not_fit_its_technique_is_told(make_shop, task, column, words):
    shop = make_shop(tasks={task: {"only": {"path": "events.parquet", "column": column}}})

    with pytest.raises(WrongUse, match=words):
        shop.plan(task)


def test_what_was_asked_is_not_asked_again_and_new_events_ask_what_is_new(make_shop):
    shop = make_shop(items=40, users=30, events=12, tasks={"cot_examples": {"examples": 20}})
    first = shop.ask("cot_examples")
    again = shop.ask("cot_examples")
    shop.write_events([*shop.events(), ("u3", "i39", START + timedelta(days=40), 5.0)])
    after = shop.ask("cot_examples")

    assert (first.calls, again.calls) == (20, 0)
    assert after.calls <= 2
    assert len(set(shop.calls())) == len(shop.calls()) == first.calls + after.calls
    assert len(shop.lineage("cot_examples")) == 20 + after.calls  # what was displaced stays in the pool


def test_a_row_whose_event_does_not_train_any_more_is_withdrawn(make_shop):
    shop = make_shop(items=40, users=4, events=10, tasks={"cot_examples": {"examples": 600}})
    shop.ask("cot_examples")
    before = {(event_of(row["entity"])[0], row["as_of"]) for row in shop.lineage("cot_examples").values()}
    newest = max(time for user, time in before if user == "u0")
    # With its newest events gone, u0 has five: four train, and what was the last to train tests now or is gone.
    shop.write_events([row for row in shop.events() if row[0] != "u0" or row[2] < START + timedelta(minutes=5)])

    done = shop.ask("cot_examples")

    left = {row["as_of"] for row in shop.lineage("cot_examples").values() if event_of(row["entity"])[0] == "u0"}
    assert done.withdrawn > 0
    assert newest not in left
    assert max(left, default=START) < START + timedelta(minutes=4)


def test_rows_of_a_sliding_window_stay_when_their_events_are_older_than_the_log(make_shop):
    shop = make_shop(items=40, users=4, events=10, tasks={"cot_examples": {"examples": 600}})
    rows = shop.ask("cot_examples").rows
    shop.write_events([(user, item, time + timedelta(days=1), rating) for user, item, time, rating in shop.events()])

    done = shop.ask("cot_examples")

    assert done.withdrawn == 0
    assert len(shop.lineage("cot_examples")) == 2 * rows


def test_a_seconds_tie_is_no_history():
    logs = {
        "a": [(0, 1, 5.0), (0, 2, 1.0), (1, 3, 5.0), (1, 4, 1.0), (2, 5, 1.0), (2, 6, 5.0), (9, 7, 5.0), (9, 8, 5.0)]
    }

    shown = {event_of(row.entity)[1]: row.variables["history"] for row in rows_of(logs)}

    assert shown["3"] == shown["4"] == "Film 1: 5; Film 2: 1"
    assert shown["6"] == "Film 1: 5; Film 2: 1; Film 3: 5; Film 4: 1"
    assert not {"1", "2"} & set(shown)
    assert np.all([len(text) > 0 for text in shown.values()])
