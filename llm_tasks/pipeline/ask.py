"""Ask in rounds: for agents, prompt optimisers, re-rankers and other loops whose next question depends on answers.

Every answer has the same content key as in a refresh, is stored in the same table and is asked once: a loop that was
killed and is started again gets its earlier answers at once and pays only for the missing ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from base.failures import kind_of
from base.progress import Progress, silent
from engines.request import Answer, Request
from feature_store.answers import answer_log, known_answers, read_answers
from feature_store.database import Writer
from llm_tasks.pipeline.fit import Renderer, why_unfit
from llm_tasks.pipeline.generate import Spending, ask_plan
from llm_tasks.pipeline.one_cause import OneCause
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
    """The request."""


@dataclass
class Asker:
    """Asks on behalf of one technique, round after round, within one budget.

    Example:
        questions = [asker.question("agent_step", {"film": name}) for name in names]
        answers = asker.ask(questions)
    """

    task: Task
    """The technique: its adapter answers, and runs are counted under its name."""
    workplace: Workplace
    """Data, engine and store."""
    writer: Writer
    """The store's writer, held for the whole loop."""
    spending: Spending = field(default_factory=Spending)
    """Prices, the budget of all rounds together, and an observer."""
    progress: Progress = silent
    """Called with the number of finished calls of a round."""
    _asked: set[str] = field(default_factory=set, init=False, repr=False)
    _cause: OneCause | None = field(default=None, init=False, repr=False)
    _renderers: dict[tuple[str, int | None], Renderer] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Recover the answers of a killed loop."""
        with answer_log(self.writer):
            pass  # moves what a killed loop left in the journal to the table, where answers are read

    def question(self, prompt: str, variables: Mapping[str, Any], version: int | None = None) -> Question:
        """Render a question.

        Args:
            prompt: Task name of a prompt file.
            variables: The variables of its text.
            version: A fixed version; the newest live one if not given.

        Raises:
            WrongUse: There is no such prompt, or it uses a variable that is missing.
        """
        if (prompt, version) not in self._renderers:  # cached: making one reads files, and a loop asks many questions
            chosen = choose_prompt(prompt, version, self.workplace.library)
            self._renderers[prompt, version] = Renderer.of(self.task, chosen, self.workplace)
        renderer = self._renderers[prompt, version]
        return Question(renderer.prompt, renderer.render(variables))

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """Return the answers of one round in the order of the questions; stored answers are not asked again.

        A question that cannot be answered (too long, refused) gets an `Answer` with an error, also when the error was
        stored by an earlier run, unless it was the server's (timeout, connection): that is asked again, once a loop.

        Args:
            questions: Any number, from any prompts; a repeated question is asked once.

        Raises:
            EngineFault: The engine failed, or all first answers of the loop ended in one error; its answers so far are
                kept.
            BudgetReached: The budget of all rounds is spent; the answers so far are kept.
        """
        stored, unfit = known_answers(self.workplace.store), self._unfit(questions)
        known = {key for key, error in stored.items() if key in self._asked or not (error and kind_of(error).passes)}
        self._cause = self._cause or OneCause.of(self.workplace)
        by_prompt: dict[str, list[Question]] = {}
        for one in questions:
            if one.request.key not in known and one.request.key not in unfit:
                by_prompt.setdefault(one.prompt.name, []).append(one)
        for of_one in by_prompt.values():
            check_prompt(of_one[0].request, of_one[0].prompt, self.workplace)
            spool, asks = Spool(), dict[str, int]()
            for one in of_one:
                if one.request.key not in asks:
                    spool.add(one.request)
                asks[one.request.key] = 0
            self._asked |= asks.keys()
            plan = TaskPlan(self.task, of_one[0].prompt, (), asks, spool=spool)
            ask_plan(plan, self.workplace, self.writer, self.progress, self.spending, self._cause)
        return self._read(questions, unfit)

    def _unfit(self, questions: Sequence[Question]) -> dict[str, Answer]:
        """Return an error answer for every question that cannot be sent to the engine."""
        found = {}
        for request in [one.request for one in questions]:
            if (fault := why_unfit(request, self.workplace.engine)) is not None:
                kind, _, detail = fault.partition(": ")
                found[request.key] = Answer(request.key, None, kind, detail)
        return found

    def _read(self, questions: Sequence[Question], unfit: Mapping[str, Answer]) -> list[Answer]:
        columns = ["key", "text", "error", "detail", "input_tokens", "output_tokens", "cached_tokens", "finish"]
        keys = [one.request.key for one in questions]
        rows = read_answers(self.workplace.store, keys, columns)
        there = {row["key"]: _answer(row) for row in rows.iter_rows(named=True)}
        return [unfit.get(key) or there[key] for key in keys]


def _answer(row: Mapping[str, Any]) -> Answer:
    return Answer(**{**row, "detail": row["detail"] or "", "finish": row["finish"] or ""})
