"""Asking in rounds: for loops such as agents, prompt optimisers and re-rankers, whose next question hangs on answers.

Every answer has the same content key as in a refresh, lies in the same table and is asked once: a loop that was killed
and begins anew gets the answers it had at once, and pays for those alone that it had not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from base.progress import Progress, silent
from engines.request import Answer, Request
from feature_store.answers import known_answers, read_answers
from feature_store.database import Writer
from llm_tasks.pipeline.fit import Renderer, why_unfit
from llm_tasks.pipeline.generate import Spending, ask_plan
from llm_tasks.pipeline.plan import TaskPlan, check_prompt
from llm_tasks.pipeline.spool import Spool
from llm_tasks.pipeline.task import Task
from llm_tasks.pipeline.workplace import Workplace
from prompts.library import choose_prompt
from prompts.prompt import Prompt


@dataclass(frozen=True)
class Question:
    """One request with the prompt that it was rendered from."""

    prompt: Prompt
    """The prompt."""
    request: Request
    """What is asked."""


@dataclass
class Asker:
    """Asks for one technique, round after round, within one budget.

    Example:
        questions = [asker.question("agent_step", {"film": name}) for name in names]
        answers = asker.ask(questions)
    """

    task: Task
    """For whom is asked: whose adapter answers, and under whose name the runs are counted."""
    place: Workplace
    """Data, engine and store."""
    writer: Writer
    """The store's writer, held for the whole loop."""
    spending: Spending = field(default_factory=Spending)
    """Prices, the budget of all rounds together, and who watches."""
    progress: Progress = silent
    """Told how many calls of a round are done."""
    _renderers: dict[tuple[str, int | None], Renderer] = field(default_factory=dict, init=False, repr=False)

    def question(self, prompt: str, variables: Mapping[str, Any], version: int | None = None) -> Question:
        """Render a question.

        Args:
            prompt: Task name of a prompt file.
            variables: What its text may use.
            version: A fixed version; the newest active one when left out.

        Raises:
            PromptFault: There is no such prompt, or it uses a variable that is not given.
        """
        if (prompt, version) not in self._renderers:  # reads files, and a loop asks many questions
            chosen = choose_prompt(prompt, version, self.place.plugins)
            self._renderers[prompt, version] = Renderer.of(self.task, chosen, self.place)
        renderer = self._renderers[prompt, version]
        return Question(renderer.prompt, renderer.render(variables))

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """Get the answers of one round, in the order of the questions; what is on record is not asked again.

        A question that cannot be answered (too long, refused) has an `Answer` with an error, also one that an earlier
        run has on record.

        Args:
            questions: Any number, of any prompts; the same one may stand twice and is asked once.

        Raises:
            EngineFault: The engine broke off; what it had answered is kept.
            BudgetReached: The budget of all rounds is spent; what was answered is kept.
        """
        known, unfit = known_answers(self.place.store), self._unfit(questions)
        by_prompt: dict[str, list[Question]] = {}
        for one in questions:
            if one.request.key not in known and one.request.key not in unfit:
                by_prompt.setdefault(one.prompt.name, []).append(one)
        for of_one in by_prompt.values():
            check_prompt(of_one[0].request, of_one[0].prompt, self.place)
            spool, asks = Spool(), dict[str, int]()
            for one in of_one:
                if one.request.key not in asks:
                    spool.add(one.request)
                asks[one.request.key] = 0
            plan = TaskPlan(self.task, of_one[0].prompt, (), asks, spool=spool)
            ask_plan(plan, self.place, self.writer, self.progress, self.spending)
        return self._read(questions, unfit)

    def _unfit(self, questions: Sequence[Question]) -> dict[str, Answer]:
        """Questions that the engine cannot take are answered by an error, and not sent."""
        found = {}
        for request in [one.request for one in questions]:
            if (fault := why_unfit(request, self.place.engine)) is not None:
                kind, _, detail = fault.partition(": ")
                found[request.key] = Answer(request.key, None, kind, detail)
        return found

    def _read(self, questions: Sequence[Question], unfit: Mapping[str, Answer]) -> list[Answer]:
        columns = ["key", "text", "error", "detail", "input_tokens", "output_tokens", "cached_tokens"]
        keys = [one.request.key for one in questions]
        rows = read_answers(self.place.store, keys, columns)
        there = {row["key"]: Answer(**{**row, "detail": row["detail"] or ""}) for row in rows.iter_rows(named=True)}
        return [unfit.get(key) or there[key] for key in keys]
