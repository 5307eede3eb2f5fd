"""The form of answers: whether they came, could be read and were complete, and how long they are."""

from collections.abc import Sequence

import polars as pl

from evals.prompts.intervals import measured_by_row
from evals.prompts.text.words import words_of
from evals.trial import Measured, Trial, TrialAnswer
from feature_store.text_facts import excuses

CUT_OFF = "length"
"""How an answer finishes that was cut off."""


def parse_failures(trial: Trial, seed: int = 0) -> Measured:
    """Share of the answers that do not have the form that the prompt asks for."""
    about = "Share of the answers that do not have the form that the prompt declares."
    rows = {
        v: [None if one.raw is None else float(one.text is None) for one in trial.answers[v]] for v in trial.versions
    }
    return measured_by_row("parse_failures", about, "lower", rows, seed=seed)


def cut_offs(trial: Trial, seed: int = 0) -> Measured:
    """Share of the answers that ended at the maximum of tokens."""
    about = "Share of the answers that were cut off at the prompt's max_tokens."
    rows = {
        v: [None if one.raw is None else float(one.finish == CUT_OFF) for one in trial.answers[v]]
        for v in trial.versions
    }
    return measured_by_row("cut_offs", about, "lower", rows, seed=seed)


def refusals(trial: Trial, seed: int = 0) -> Measured:
    """Share of the rows without an answer, or with an excuse in its place."""
    about = "Share of the rows that got no answer (refused, too long, an error of the call) or an excuse."
    rows = {v: [float(one) for one in _refused(trial.answers[v])] for v in trial.versions}
    return measured_by_row("refusals", about, "lower", rows, seed=seed)


def _refused(answers: Sequence[TrialAnswer]) -> list[bool]:
    excused = excuses(pl.Series([one.raw or "" for one in answers], dtype=pl.String))
    return [one.raw is None or bool(excuse) for one, excuse in zip(answers, excused, strict=True)]


def length(trial: Trial, seed: int = 0) -> Measured:
    """Mean number of words of the text that is encoded."""
    about = "Words of the text that is encoded."
    rows = {
        v: [None if text is None else float(len(words_of(text))) for text in trial.texts(v)] for v in trial.versions
    }
    return measured_by_row("words", about, "neither", rows, seed=seed)
