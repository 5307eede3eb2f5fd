"""How good are a small model's texts about films, next to a large one's about the same films, and next to none?

Used by benchmarks/distilled_knowledge.py. By protocol (`split`, `rolling`) and segment, each gain with its interval:

auc      of every arm; `recorded` and `distilled` are the arm `knowledge` on either set of texts
gains    of `distilled` over base, facts, its shuffled and random twins, and `recorded`; of `recorded` over facts
kept     the gain of `distilled` over facts divided by that of `recorded` over facts

The segment `films` holds the test rows about the films whose texts are judged, `cold_films` those of them about films
with fewer than five training events; in `all`, films with neither kind of text are counted, too.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np
import polars as pl

from app.comparison import read_scores
from app.train_runs import TrainRun
from base.faults import CheckFailed
from evals.evaluate import Scores, evaluate
from evals.kept import METRIC, kept
from llm_tasks.cot_examples import event_hashes

SUBJECT, FACTS, LARGE, SMALL = "knowledge", "facts", "recorded", "distilled"
PROTOCOLS: dict[str, tuple[Literal["test", "rolling"], str]] = {
    "split": ("test", "rows.parquet"),
    "rolling": ("rolling", "rolling_rows.parquet"),
}
NAME = re.compile(r"[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)+")


def judge_same(small: TrainRun, large: TrainRun, events: pl.DataFrame, films: Collection[str]) -> dict[str, Any]:
    """Compare two runs on different texts about the same films.

    Args:
        small: On the small model's texts; its controls are judged.
        large: On the large model's texts.
        events: user, item and time of all events.
        films: Ids of the films.

    Returns:
        Protocol -> auc, gains, kept and rows.

    Raises:
        CheckFailed: The runs have different test rows, or the arm `facts`, which reads neither kind of text, differs.
    """
    out: dict[str, Any] = {}
    for name, (protocol, file) in PROTOCOLS.items():
        rows, other = (pl.read_parquet(run.folder / file, columns=["key", "label"]) for run in (small, large))
        if not rows.equals(other):
            raise CheckFailed(f"{name}: the two runs have different test rows")
        by_small, by_large = (read_scores(run, protocol) for run in (small, large))
        if not np.allclose(by_small.probabilities[FACTS], by_large.probabilities[FACTS], atol=1e-5):
            raise CheckFailed(f"{name}: {FACTS} differs between the runs, although it reads the same")
        scores = scores_of(by_small, rows["key"], about(events, films), {LARGE: by_large.probabilities[SUBJECT]})
        found = evaluate(scores, controls=tuple(arm for arm in scores.probabilities if arm != SMALL))
        out[name] = {**told(found), "kept": kept(scores, found, SMALL, LARGE, FACTS)}
    return out


def judge_rest(run: TrainRun, events: pl.DataFrame, films: Collection[str]) -> dict[str, Any]:
    """Judge a run on texts about films that have no others; as `judge_same`, without `recorded` and `kept`."""
    out: dict[str, Any] = {}
    for name, (protocol, file) in PROTOCOLS.items():
        keys = pl.read_parquet(run.folder / file, columns=["key"])["key"]
        scores = scores_of(read_scores(run, protocol), keys, about(events, films), {})
        out[name] = told(evaluate(scores, controls=tuple(arm for arm in scores.probabilities if arm != SMALL)))
    return out


def about(events: pl.DataFrame, films: Collection[str]) -> pl.Series:
    """Return the keys of the events with some films, as test rows have them."""
    return event_hashes(events.filter(pl.col("item").is_in(list(films))).select("user", "item", "time"))


def scores_of(of: Scores, keys: pl.Series, wanted: pl.Series, more: Mapping[str, np.ndarray]) -> Scores:
    """Return the scores of a run by segments of films, with more arms; its arm `knowledge` becomes `distilled`."""
    films = keys.is_in(wanted.implode()).to_numpy()
    segments = {"all": of.segments["all"], "films": films, "cold_films": films & of.segments["cold"]}
    arms = {SMALL if arm == SUBJECT else arm: predicted for arm, predicted in of.probabilities.items()}
    return Scores(of.label, of.user, segments, {**arms, **more})


def told(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the AUC of every arm, and the gains that are asked about, by segment."""
    asked = {SMALL: list(found["gains"][SMALL]), LARGE: [FACTS]}
    gains = {
        arm: {
            control: {segment: of[METRIC] for segment, of in found["gains"][arm][control].items()}
            for control in controls
        }
        for arm, controls in asked.items()
        if arm in found["gains"]
    }
    auc = {arm: {segment: of[METRIC]["mean"] for segment, of in by.items()} for arm, by in found["arms"].items()}
    rows = {name: {"rows": of["rows"], "users": of["users"]} for name, of in found["segments"].items()}
    return {"auc": auc, "gains": gains, "segments": rows}


def names_right(written: pl.DataFrame, recorded: pl.DataFrame) -> dict[str, float | None]:
    """Compare the names in texts, such as `Tom Hanks`, with those in the recorded ones about the same films.

    Args:
        written: input and answer.
        recorded: The same films in the same order.

    Returns:
        `names_right`, the share of the names in `written` that the recorded text has; `names_by_chance`, the share that
        the recorded text about the next film has; None without a name.

    Example:
        >>> films = pl.DataFrame({"input": ["Big (1988)", "Heat (1995)"], "answer": ["Tom Hanks.", "By Al Pacino."]})
        >>> names_right(films, films)
        {'names_right': 1.0, 'names_by_chance': 0.0}
    """
    found = [
        [name for name in NAME.findall(answer) if name not in shown]
        for shown, answer in written.select("input", "answer").iter_rows()
    ]
    truth = recorded["answer"].to_list()
    others = [*truth[1:], *truth[:1]]
    total = sum(map(len, found))

    def share(texts: list[str]) -> float | None:
        right = sum(name in text for names, text in zip(found, texts, strict=True) for name in names)
        return right / total if total else None

    return {"names_right": share(truth), "names_by_chance": share(others)}
