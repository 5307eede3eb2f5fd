"""Optimise a prompt: gives an optimiser its rows, its answers and its reflecting model, and keeps what it found.

Every answer is stored under its content key, so a search that was killed and is started again with the same options
gets the answers it had at no cost and continues. Answers that were stored before count against the budget like new
ones: the same command with the same budget takes the same steps and ends in the same place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from app.asking import Asking, with_engine
from app.before_paying import check_prices
from app.config import Config
from app.objectives import DEFAULT_RANKING, Objective, ranking_objective
from app.options import options_of
from app.probe_objective import NAME, probe_objective
from app.progress import observer, progress
from app.trial_worth import encoder_of
from app.trials import WRITES, read_answers
from app.workplace import one_task, open_workplace
from base.faults import WrongUse
from base.plugins import choose, find
from engines.protocol import SecretReader
from engines.request import candidates_of
from feature_store.answers import read_answers as stored_answers
from llm_tasks.pipeline.ask import Asker, Question
from llm_tasks.pipeline.budget import Budget, BudgetReached, Limits
from llm_tasks.pipeline.fit import Renderer
from llm_tasks.pipeline.generate import Spending
from llm_tasks.pipeline.plan import NAME_AN_ENGINE
from llm_tasks.pipeline.ranking import RANKINGS
from llm_tasks.pipeline.sampled_rows import SampledRow
from llm_tasks.pipeline.task import Task
from llm_tasks.pipeline.workplace import Workplace
from prompts.drafts import number_versions, version_of
from prompts.library import Library, choose_prompt
from prompts.prompt import Prompt
from prompts.rewritten import Parts, RewriteReader
from tuning.optimiser import OPTIMISERS, Case, Problem
from tuning.search import Found, run_search

Choice = tuple[str | None, str | None, Sequence[str] | None]
"""Engine, model and servers that replace those of knowflow.yaml; None leaves them."""


@dataclass(frozen=True)
class Wish:
    """What to optimise, and how."""

    task: str
    """Name of a technique."""
    method: str
    """Name of an optimiser."""
    limits: Limits
    """The budget."""
    objective: str | None = None
    """What to aim at; the default of the technique if not given."""
    rows: int = 42
    """How many rows to learn from, and how many to compare on."""
    seed: int = 0
    """Seed of the drawn rows and of the search."""
    version: int | None = None
    """The version to start from; the newest live one if not given."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the optimiser."""
    engine: Choice = (None, None, None)
    """What replaces engine, model and servers of knowflow.yaml."""
    reflecting: Choice = (None, None, None)
    """The same of the reflecting side; as those that answer if not given."""


@dataclass(frozen=True)
class Optimised:
    """A finished search."""

    first: Prompt
    """The prompt that it started from."""
    found: Found
    """Its candidates, and the chosen one."""
    objective: Objective
    """What it aimed at."""
    wish: Wish
    """What was wished for."""
    versions: Mapping[Parts, int]
    """Messages of a candidate -> its version."""
    budget: Budget
    """What it used; stored answers count, too."""
    replayed: int
    """How many of these tokens were answers that were stored before."""


def optimise(config: Config, wish: Wish, secret: SecretReader | None = None) -> Optimised:
    """Search for a better version of a prompt. Asks; writes answers and no file.

    Args:
        config: The config.
        wish: What to optimise, and how.
        secret: Reads a stored secret, such as the key of a model server.

    Raises:
        WrongUse: The technique, the method or the objective cannot be used, or the engine asks no model.
        EngineFault: The engine failed; its answers are kept, and the same command continues.
    """
    check_prices(config.prices, Asking(max_cost=wish.limits.max_cost))
    optimiser = choose(OPTIMISERS, [wish.method], config.plugin_folders)[0]
    options = options_of(optimiser, wish.options)
    answering = with_engine(config, *wish.engine)
    task, workplace = one_task(answering, wish.task), open_workplace(answering, secret)
    if task.prompt is None:
        raise WrongUse(f"{task.name}: it asks no model, so there is no prompt to optimise")
    other = with_engine(answering, *wish.reflecting)
    reflects = workplace if other is answering else open_workplace(other, secret, workplace.dataset)
    for one in (workplace, reflects):
        if getattr(one.engine, "unanswered", None) is not None:
            raise WrongUse(f"the engine has recorded answers only, and a new prompt has none\n  {NAME_AN_ENGINE}")
    first = choose_prompt(task.prompt, wish.version, config.library)
    objective = objective_of(config, task, first, workplace, wish)
    budget = Budget(wish.limits)
    spending = Spending(config.prices, budget, observer())
    with workplace.store.writer(WRITES) as writer:
        asker = Asker(task, workplace, writer, spending, progress())
        plain = Asker(task, replace(reflects, options={}), writer, spending, progress())
        versions = {first.parts: first.front.version}
        asking = _Asking(asker, plain, first, objective, config.library, versions)
        found = run_search(optimiser, asking.problem(), options, wish.seed)
    return Optimised(first, found, objective, wish, versions, budget, asking.replayed)


def objective_of(config: Config, task: Task, first: Prompt, workplace: Workplace, wish: Wish) -> Objective:
    """Make the objective of a technique.

    Raises:
        WrongUse: There is none.
    """
    rankings, folders = find(RANKINGS, config.plugin_folders), config.plugin_folders
    if task.name in rankings:
        name = wish.objective or DEFAULT_RANKING
        return ranking_objective(rankings[task.name], name, task, workplace, wish.rows, wish.seed, folders)
    if wish.objective not in (None, NAME):
        raise WrongUse(f"--objective {wish.objective}: {task.name} ranks nothing\n  leave it out, or give {NAME}")
    encoder = encoder_of(config, task.name)
    encode = lambda texts: np.asarray(encoder.encode(list(texts), progress()))  # noqa: E731
    return probe_objective(task, first, workplace, encode, wish.rows, wish.seed)


@dataclass
class _Asking:
    """Asks on behalf of a search, within its budget."""

    asker: Asker
    reflecting: Asker
    first: Prompt
    objective: Objective
    library: Library
    versions: dict[Parts, int]
    replayed: int = 0
    _counted: set[str] = field(default_factory=set)

    def problem(self) -> Problem:
        """Return the problem that an optimiser solves."""
        sides = (self.objective.learn, self.objective.judge)
        rows = {one.key: one for side in sides for of in side.values() for one in of}
        learn, judge = ({domain: tuple(one.key for one in of) for domain, of in side.items()} for side in sides)
        share, answer = self.asker.spending.budget.share, partial(self.answer, rows)
        return Problem(self.first.parts, learn, judge, answer, self.reflect, self.read, share, self.objective.goal)

    def read(self, answer: str) -> Parts:
        """Read a rewritten prompt, and give it the next version."""
        parts = RewriteReader(self.first)(answer)
        every = [*self.versions, parts]
        self.versions |= dict(zip(every, number_versions(self.first, every, self.library), strict=True))
        return parts

    def answer(self, rows: Mapping[str, SampledRow], parts: Parts, keys: Sequence[str]) -> list[Case]:
        """Ask with a prompt about rows, and score the answers."""
        prompt, cases = version_of(self.first, parts, self.versions[parts]), dict[str, Case]()
        renderer = Renderer.of(self.asker.task, prompt, self.asker.workplace)
        for group in self._groups(keys):
            chosen = [rows[key] for key in group]
            answers = self._ask(self.asker, [Question(prompt, renderer.render(one.row.variables)) for one in chosen])
            read = read_answers(self.asker.task, prompt, chosen, answers)
            cases |= {case.row: case for case in self.objective.score(chosen, read)}
        return [cases[key] for key in keys]

    def _groups(self, keys: Sequence[str]) -> list[Sequence[str]]:
        """Return the rows to ask about: these, or all rows of their sides if they are scored together."""
        if not self.objective.together:
            return [keys]
        sides = [
            [one.key for of in side.values() for one in of] for side in (self.objective.learn, self.objective.judge)
        ]
        return [side for side in sides if not set(side).isdisjoint(keys)]

    def reflect(self, how: str, variables: Mapping[str, Any], attempt: int) -> str | None:
        """Ask the reflecting model; a further attempt has another seed, and so another key."""
        question = self.reflecting.question(how, variables)
        identity = self.reflecting.workplace.identity_of(self.reflecting.task)
        request = candidates_of(question.request, identity, attempt + 1)[attempt]
        return self._ask(self.reflecting, [Question(question.prompt, request)])[0].text

    def _ask(self, asker: Asker, questions: Sequence[Question]) -> list[Any]:
        """Ask, after counting the stored answers against the budget."""
        budget, prices = asker.spending.budget, asker.spending.prices
        if limit := budget.reached():
            raise BudgetReached(limit)
        new = {one.request.key for one in questions} - self._counted
        columns = ["key", "error", "input_tokens", "output_tokens", "cached_tokens"]
        for row in stored_answers(asker.workplace.store, new, columns).iter_rows(named=True):
            tokens = row["input_tokens"] + row["output_tokens"]
            budget.spend(tokens, prices.cost(row["input_tokens"], row["output_tokens"], row["cached_tokens"]))
            self.replayed += tokens
        self._counted |= new
        return asker.ask(questions)
