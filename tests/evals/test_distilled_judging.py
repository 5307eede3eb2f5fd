"""What benchmarks/distilled_judging.py counts: rows about the judged films alone, and two runs that can be compared."""

import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from app.train_runs import TrainRun
from base.faults import CheckFailed
from llm_tasks.cot_examples import event_hashes

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from distilled_judging import about, judge_rest, judge_same, names_right

USERS, FILMS, SEEDS = 40, 10, 3
ARMS = ("base", "facts", "knowledge", "shuffled", "random")


def all_events() -> pl.DataFrame:
    begin = datetime(2018, 1, 1)
    rows = [
        (f"u{user}", f"f{film}", begin + timedelta(minutes=user * FILMS + film))
        for user in range(USERS)
        for film in range(FILMS)
    ]
    return pl.DataFrame(rows, schema=["user", "item", "time"], orient="row")


def make_run(folder: Path, skill: float) -> TrainRun:
    """A run on all events; its arm `knowledge` follows the label by some skill where the film is f0 to f4."""
    folder.mkdir()
    events, chance = all_events(), np.random.default_rng(0)
    label = chance.integers(0, 2, len(events)).astype(np.float32)
    user = np.repeat(np.arange(USERS), FILMS)
    known = events["item"].is_in([f"f{place}" for place in range(5)]).to_numpy()
    rows = pl.DataFrame({"key": event_hashes(events), "label": label, "user": user})
    cold = events["item"].is_in(["f0", "f9"])
    rows = rows.with_columns(segment_all=pl.lit(True), segment_cold=cold)
    noise = {arm: chance.normal(size=(SEEDS, len(label))) for arm in ARMS}
    run = TrainRun(folder)
    run.write("run", {"arms": {arm: arm for arm in ARMS}})
    for protocol in ("rows", "rolling_rows"):
        rows.write_parquet(folder / f"{protocol}.parquet")
    for arm in ARMS:
        logit = noise[arm] + skill * label * known if arm == "knowledge" else noise[arm]
        predicted = (1 / (1 + np.exp(-logit))).astype(np.float32)
        np.savez(folder / f"{arm}.npz", test=predicted, rolling=predicted)
    return run


def test_a_row_is_about_a_film_whoever_rated_it_and_whenever():
    events = all_events()

    keys = about(events, ["f3"])

    assert len(keys) == USERS
    assert set(keys) == set(event_hashes(events.filter(item="f3")))


def test_gains_are_counted_on_the_rows_about_the_judged_films_alone(tmp_path):
    small, large = make_run(tmp_path / "small", 1.0), make_run(tmp_path / "large", 2.0)

    found = judge_same(small, large, all_events(), [f"f{place}" for place in range(5)])["split"]
    other = judge_same(small, large, all_events(), [f"f{place}" for place in range(5, 10)])["split"]

    assert found["segments"]["films"] == {"rows": USERS * 5, "users": USERS}
    assert found["segments"]["cold_films"] == {"rows": USERS, "users": USERS}
    assert found["gains"]["distilled"]["recorded"]["films"]["high"] < 0
    assert found["gains"]["distilled"]["facts"]["films"]["low"] > 0
    assert 0.3 < found["kept"]["films"]["mean"] < 0.9
    assert other["gains"]["distilled"]["recorded"]["films"]["mean"] == pytest.approx(0)  # no knowledge about these


def test_the_rest_has_no_recorded_arm(tmp_path):
    found = judge_rest(make_run(tmp_path / "rest", 2.0), all_events(), ["f0", "f1"])["rolling"]

    assert "recorded" not in found["auc"]
    assert list(found["gains"]) == ["distilled"]
    assert found["gains"]["distilled"]["shuffled"]["films"]["low"] > 0


def test_runs_on_other_rows_or_with_other_facts_are_refused(tmp_path):
    small, large = make_run(tmp_path / "small", 1.0), make_run(tmp_path / "large", 2.0)
    with np.load(large.folder / "facts.npz") as scored:
        moved = {name: 1 - values for name, values in scored.items()}
    np.savez(large.folder / "facts.npz", **moved)
    with pytest.raises(CheckFailed, match="facts differs between the runs"):
        judge_same(small, large, all_events(), ["f0"])

    rows = pl.read_parquet(large.folder / "rows.parquet")
    rows.head(len(rows) - 1).write_parquet(large.folder / "rows.parquet")
    with pytest.raises(CheckFailed, match="different test rows"):
        judge_same(small, large, all_events(), ["f0"])


def test_names_of_the_prompt_do_not_count_and_texts_without_a_name_have_no_share():
    written = pl.DataFrame({"input": ["Toy Story (1995)", "Big (1988)"], "answer": ["Toy Story by John Lasseter.", ""]})
    recorded = pl.DataFrame({"answer": ["John Lasseter's debut.", "Tom Hanks grows up."]})

    assert names_right(written, recorded) == {"names_right": 1.0, "names_by_chance": 0.0}
    assert names_right(written.tail(1), recorded.tail(1)) == {"names_right": None, "names_by_chance": None}
