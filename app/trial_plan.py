"""Plan a trial of several versions of a prompt: the sample, the questions, and what they cost. Nothing is written."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from app.asking import with_engine
from app.config import Config
from app.workplace import one_task, open_workplace
from base.failures import kind_of
from base.faults import WrongUse
from feature_store.answers import known_answers
from llm_tasks.pipeline.ask import Question
from llm_tasks.pipeline.budget import Prices
from llm_tasks.pipeline.estimate import estimate
from llm_tasks.pipeline.fit import Renderer, why_unfit
from llm_tasks.pipeline.plan import check_prompt
from llm_tasks.pipeline.sampled_rows import Sample, SampledRow, rows_about, sample_rows
from llm_tasks.pipeline.task import Task
from llm_tasks.pipeline.workplace import Workplace
from prompts.library import Library, choose_prompt
from prompts.listing import read_version
from prompts.prompt import Prompt


@dataclass(frozen=True)
class VersionPlan:
    """What trying one version costs."""

    version: str
    """Its name: `kar_item.v2`."""
    status: str
    """Its status: draft, trial, live or retired."""
    rows: int
    """Number of sampled rows."""
    cached: int
    """How many of them have a stored answer."""
    calls: int
    """Number of calls to make."""
    unsendable: int
    """Number of rows whose prompt cannot be sent, such as one that is too long."""
    input_tokens: int
    """Tokens of the prompts to send."""
    output_tokens_at_most: int
    """Bound on the tokens of their answers."""
    cost_at_most: float
    """What the calls cost at most."""
    seconds_estimate: float | None
    """How long they take, going by past runs; None if there were none."""
    all_rows: int
    """Number of all rows of the technique."""
    all_input_tokens: int
    """Tokens of the prompts of all rows, going by the sample."""
    all_output_tokens_at_most: int
    """Bound on the tokens of all answers."""
    all_cost_at_most: float
    """What asking about all rows anew costs at most."""


@dataclass(frozen=True)
class TrialPlan:
    """A sample, and what asking about it costs; nothing is written."""

    task: Task
    """The technique."""
    prompts: tuple[Prompt, ...]
    """The versions, the one that others are compared with first."""
    sample: Sample
    """The sampled rows."""
    versions: tuple[VersionPlan, ...]
    """What each version costs."""
    seed: int
    """Seed of the sample."""
    prices: Prices
    """What tokens cost."""
    workplace: Workplace = field(repr=False)
    """Data, engine and store."""
    questions: Mapping[str, Sequence[Question]] = field(repr=False)
    """Version -> its questions, in the order of the rows."""

    @property
    def population(self) -> str:
        """Say in words what the sample was drawn from."""
        sample = self.sample
        if sample.drawn_from == sample.population:
            return f"{len(sample.rows):,} of {sample.population:,} rows"
        return (
            f"{len(sample.rows):,} of {sample.drawn_from:,} rows: of {sample.population:,} rows, only these have an "
            "answer for every version, and the engine asks no model"
        )

    def summary(self) -> dict[str, Any]:
        """Return the plan as plain JSON."""
        return {
            "task": self.task.name,
            "seed": self.seed,
            "sample": len(self.sample.rows),
            "drawn_from": self.sample.drawn_from,
            "all_rows": self.sample.population,
            "strata": dict(self.sample.strata),
            "shortened": self.sample.shortened,
            "currency": self.prices.currency,
            "versions": [asdict(one) for one in self.versions],
        }


def plan_trial(
    config: Config,
    task: str,
    versions: Sequence[str],
    sample: int = 50,
    seed: int = 0,
    engine: str | None = None,
    model: str | None = None,
) -> TrialPlan:
    """Draw the sample and count what asking about it costs. Writes nothing.

    Args:
        config: The config.
        task: Name of a technique.
        versions: Versions of its prompt: `v2`, `2` or `kar_item.v2`, of any status.
        sample: How many rows.
        seed: Another seed draws other rows.
        engine: Replaces `engine.name`.
        model: Replaces `engine.model`.

    Raises:
        WrongUse: A version does not exist, the technique asks no model, or no row can be asked about.
    """
    config = with_engine(config, engine, model)
    technique, workplace = one_task(config, task), open_workplace(config)
    prompts = versions_of(technique, versions, config.library)
    drawn = sample_rows(technique, prompts, workplace, sample, seed)
    return _planned(technique, prompts, drawn, seed, config.prices, workplace)


def plan_rows(plan: TrialPlan, entities: Collection[str]) -> TrialPlan:
    """Plan the rows about given entities, with the versions and the engine of another plan.

    Raises:
        WrongUse: The technique has no row about one of them.
    """
    drawn = rows_about(plan.task, plan.prompts, plan.workplace, entities)
    return _planned(plan.task, plan.prompts, drawn, plan.seed, plan.prices, plan.workplace)


def _planned(
    task: Task, prompts: Sequence[Prompt], drawn: Sample, seed: int, prices: Prices, workplace: Workplace
) -> TrialPlan:
    questions = {prompt.name: questions_of(task, prompt, drawn.rows, workplace) for prompt in prompts}
    known = known_answers(workplace.store)
    stored = {key for key, error in known.items() if not (error and kind_of(error).passes)}
    plans = [_cost(task, one, questions[one.name], stored, drawn, workplace, prices) for one in prompts]
    return TrialPlan(task, tuple(prompts), drawn, tuple(plans), seed, prices, workplace, questions)


def versions_of(task: Task, versions: Sequence[str], library: Library) -> list[Prompt]:
    """Return the named versions of a technique's prompt, each once.

    Raises:
        WrongUse: The technique has no prompt, or a version is no number or does not exist.
    """
    if task.prompt is None:
        raise WrongUse(f"{task.name}: it asks no model, so there is no prompt to try")
    found: dict[str, Prompt] = {}
    for said in versions:
        prompt = choose_prompt(task.prompt, read_version(said, task.prompt), library)
        found[prompt.name] = prompt
    if not found:
        raise WrongUse("no version is named\n  give one such as v2")
    return list(found.values())


def questions_of(task: Task, prompt: Prompt, rows: Sequence[SampledRow], workplace: Workplace) -> tuple[Question, ...]:
    """Render the question of every row."""
    renderer = Renderer.of(task, prompt, workplace)
    return tuple(Question(prompt, renderer.render(row.row.variables)) for row in rows)


def _cost(
    task: Task,
    prompt: Prompt,
    questions: Sequence[Question],
    stored: set[str],
    sample: Sample,
    workplace: Workplace,
    prices: Prices,
) -> VersionPlan:
    check_prompt(questions[0].request, prompt, workplace)
    fitting = [one.request for one in questions if why_unfit(one.request, workplace.engine) is None]
    asks = {one.key: one for one in fitting if one.key not in stored}
    tokens = {one.request.key: workplace.engine.count_tokens(one.request.messages) for one in questions}
    bound, rows, everything = prompt.front.sampling.get("max_tokens", 0), len(questions), sample.population
    sent = sum(tokens[key] for key in asks)
    all_sent = round(sum(tokens[one.request.key] for one in questions) / rows * everything)
    free = getattr(workplace.engine, "costs_nothing", False)
    guess = estimate(workplace.store, prompt, workplace.identity_of(task)) if asks and not free else None
    return VersionPlan(
        version=prompt.name,
        status=prompt.front.status,
        rows=rows,
        cached=sum(one.key in stored for one in fitting),
        calls=len(asks),
        unsendable=rows - len(fitting),
        input_tokens=sent,
        output_tokens_at_most=len(asks) * bound,
        cost_at_most=prices.cost(sent, len(asks) * bound),
        seconds_estimate=len(asks) * guess.seconds if guess else None,
        all_rows=everything,
        all_input_tokens=all_sent,
        all_output_tokens_at_most=everything * bound,
        all_cost_at_most=prices.cost(all_sent, everything * bound),
    )
