"""What a history shows: rated events always; events with a label alone as the domain says."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import load_config
from app.workplace import open_dataset
from base.faults import WrongUse
from llm_tasks.kar_user import KarUserOptions, kar_user
from llm_tasks.pipeline.history import SEPARATOR, events_shown, histories_shown, show_history
from llm_tasks.pipeline.task import Inputs
from prompts.domain import load_domain

CASE = Path(__file__).resolve().parents[2] / "cases" / "data" / "nonclicks-as-history"
NEWS = load_domain("news")
MARKING = NEWS.model_copy(update={"unrated": "decisions"})
SILENT = NEWS.model_copy(update={"unrated": None})
CLICKS = pl.DataFrame(
    {
        "item": ["a", "b", "c"],
        "rating": pl.Series([None, None, 4.0], dtype=pl.Float32),
        "label": pl.Series([1, 0, 0], dtype=pl.Float32),
    }
)
START = datetime(2024, 1, 1, tzinfo=UTC)
NAMES = {"a": "Storm", "b": "Budget", "c": "Cup"}


def test_positives_leave_out_what_was_not_chosen_and_keep_what_is_rated():
    assert show_history(events_shown(CLICKS, NEWS), NAMES, NEWS) == "Storm; Cup: 4"


def test_decisions_mark_every_event_by_the_words_of_the_domain():
    shown = show_history(events_shown(CLICKS, MARKING), NAMES, MARKING)

    assert shown == "Storm: reads; Budget: does not read; Cup: 4"


def test_a_domain_that_does_not_say_is_refused_only_where_events_have_no_rating():
    assert events_shown(CLICKS[2:], SILENT)["item"].to_list() == ["c"]
    with pytest.raises(WrongUse, match=r"(?s)domain: .*add a line to its file: `unrated: positives`.*`unrated: decis"):
        events_shown(CLICKS, SILENT)


ratings = st.one_of(st.none(), st.sampled_from([0.0, -0.0, 3.0, 4.5]))
logs = st.lists(st.tuples(st.sampled_from("xyzé"), st.sampled_from("abc"), ratings, st.sampled_from([0.0, 1.0])))
SCHEMA = {"user": pl.String, "item": pl.String, "rating": pl.Float32, "label": pl.Float32}


@given(log=logs)
@pytest.mark.parametrize("domain", [NEWS, MARKING], ids=["positives", "decisions"])
def test_the_histories_of_all_users_together_are_those_of_each_alone(log, domain):
    times = pl.datetime_range(START, START + timedelta(hours=len(log)), "1h", closed="left", eager=True)
    events = pl.DataFrame(log, schema=SCHEMA, orient="row").with_columns(time=times)
    alone = {user: events_shown(events.filter(pl.col("user") == user), domain) for user in sorted(set(events["user"]))}
    alone = {user: shown for user, shown in alone.items() if len(shown)}

    together = histories_shown(events, NAMES, domain)

    assert together.users == list(alone)
    assert together.counts == [len(shown) for shown in alone.values()]
    assert together.times.to_list() == [time for shown in alone.values() for time in shown["time"]]
    assert SEPARATOR.join(together.texts) == SEPARATOR.join(show_history(one, NAMES, domain) for one in alone.values())


def test_a_rating_of_minus_zero_is_shown_as_it_is_whatever_else_the_log_holds():
    # As f"{-0.0:g}" writes it, which is in the keys of stored answers: neither loading nor the columns make it 0.
    log = [("x", "a", 0.0, 0.0), ("x", "a", -0.0, 0.0), ("y", "a", -0.0, 0.0), ("y", "b", None, 1.0)]
    times = pl.datetime_range(START, START + timedelta(hours=4), "1h", closed="left", eager=True)
    events = pl.DataFrame(log, schema=SCHEMA, orient="row").with_columns(time=times)

    assert histories_shown(events, NAMES, NEWS).texts == ["Storm: 0", "Storm: -0", "Storm: -0", "Budget"]
    assert show_history(events, NAMES, NEWS) == "Storm: 0; Storm: -0; Storm: -0; Budget"


def test_a_reading_history_names_what_was_clicked_and_nothing_else(tmp_path):
    shutil.copytree(CASE, tmp_path / "shop")
    (tmp_path / "shop" / "knowflow.yaml").write_text(
        "events: {path: events.csv, user: user_id, item: news_id, time: time, label: clicked}\n"
        "items: {path: news.csv, id: news_id, title: title, categories: [category]}\n"
        "domain: news\nengine: {name: recorded, model: none}\n"
    )
    dataset = open_dataset(load_config(tmp_path / "shop" / "knowflow.yaml"))

    rows = list(kar_user.rows(Inputs(dataset, NEWS, KarUserOptions())))

    assert rows
    assert all("never clicked" not in row.variables["input"] for row in rows)
    assert all("CLICKED headline" in row.variables["input"] for row in rows)
