"""Rows with several sampled answers: the best answer becomes the row's and stays until new ones come."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from base.progress import silent
from encoders.dense import DenseEncoder, DenseOptions
from feature_store.lineage import read_lineage
from llm_tasks.pipeline.candidates import best_candidate, points_of
from llm_tasks.pipeline.plan import PlannedRow, TaskPlan
from llm_tasks.pipeline.workplace import Workplace
from prompts.prompt import Prompt


class Candidate(NamedTuple):
    """One answer of a row."""

    key: str
    """Its key."""
    text: str | None
    """Its text to encode; None on an error."""
    fault: str | None
    """The error; None if there is a text."""
    made_at: datetime
    """When it was answered."""


class CandidateChooser:
    """Collects the candidates of a plan's rows and chooses among them.

    Args:
        plan: A plan whose calls have all been answered, if only with errors.
        workplace: Domain and store.
    """

    def __init__(self, plan: TaskPlan, workplace: Workplace) -> None:
        self._plan, self._domain = plan, workplace.domain
        self._gathered: dict[str, Candidate] = {}
        self.wanted = frozenset(key for planned in plan.rows for key in planned.candidates)
        columns = ["row", "answer_key", "created_at"]
        lineage = read_lineage(workplace.store, [plan.task.name], columns) if self.wanted else None
        self._before = {} if lineage is None else {row: (key, made_at) for row, key, made_at in lineage.iter_rows()}
        self._encoder: DenseEncoder | None = None

    def add(self, candidate: Candidate) -> None:
        """Add a candidate."""
        self._gathered[candidate.key] = candidate

    def made(self, planned: PlannedRow) -> tuple[PlannedRow, str | None, str | None]:
        """Return the row with the key of its best answer, that answer's text, and the error if there is no text."""
        there = [self._gathered[key] for key in planned.candidates]
        good = [candidate for candidate in there if candidate.text is not None]
        if not good:
            return planned, None, there[0].fault
        best = self._kept(planned, good, max(candidate.made_at for candidate in there)) or self._best(planned, good)
        return planned._replace(answer_key=best.key), best.text, None

    def _kept(self, planned: PlannedRow, good: list[Candidate], newest: datetime) -> Candidate | None:
        """Return the previous choice, unless an answer has come since."""
        key, made_at = self._before.get(planned.row, (None, newest))
        return next((candidate for candidate in good if candidate.key == key and made_at > newest), None)

    def _best(self, planned: PlannedRow, good: list[Candidate]) -> Candidate:
        if len(good) == 1:
            return good[0]
        prompt, shown, name = self._plan.prompt, dict(planned.shown or {}), self._plan.task.decision
        assert prompt is not None  # rows of a technique that asks
        assert name is not None  # the plan checks this
        decision = str(shown.pop(name))
        points = points_of(self._instructions(prompt, planned.shown or {}))
        texts = [candidate.text or "" for candidate in good]
        return good[best_candidate(texts, points, " ".join(map(str, shown.values())), decision, self._encode)]

    def _instructions(self, prompt: Prompt, shown: Mapping[str, Any]) -> str:
        """Render the prompt without its variables, which might contain numbers in brackets of their own."""
        messages = prompt.render(dict.fromkeys(shown, ""), self._domain)
        return "\n".join(message["content"] for message in messages)

    def _encode(self, texts: list[str]) -> np.ndarray:
        if self._encoder is None:
            default = DenseOptions()
            self._encoder = DenseEncoder(default.model, default.pooling, default.max_tokens, default.batch_size)
        return self._encoder.encode(texts, silent)
