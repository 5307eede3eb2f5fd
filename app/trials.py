"""Try versions of a prompt on a sample: ask what is missing, read what was answered.

The answers are ordinary answers in the store, under the same keys as those of a refresh: what was tried once is asked
once, and a promoted version finds them. No row of knowledge is written, so no release ever sees a trial.
"""

from collections.abc import Sequence

from app.asking import Asking
from app.before_paying import check_prices
from app.progress import observer, progress
from app.trial_plan import TrialPlan
from base.faults import WrongUse
from engines.request import Answer
from evals.trial import Trial, TrialAnswer, TrialRow
from feature_store.answers import known_answers
from llm_tasks.pipeline.ask import Asker
from llm_tasks.pipeline.budget import Budget, Limits, Prices
from llm_tasks.pipeline.first_batch import first_batch
from llm_tasks.pipeline.generate import Spending
from llm_tasks.pipeline.parse import ParseFault, Parser
from llm_tasks.pipeline.plan import TaskPlan
from llm_tasks.pipeline.rows import texts_of
from llm_tasks.pipeline.sampled_rows import SampledRow
from llm_tasks.pipeline.spool import Spool
from llm_tasks.pipeline.task import Task
from prompts.prompt import Prompt

WRITES = "knowflow prompts"
"""Shown to others that want to write to the store meanwhile."""


def spending_of(prices: Prices, limits: Limits) -> Spending:
    """Return what a trial and all that follows it may spend together.

    Raises:
        WrongUse: There is a limit on cost, and nothing has a price.
    """
    check_prices(prices, Asking(max_cost=limits.max_cost))
    return Spending(prices, Budget(limits), observer())


def ask_trial(plan: TrialPlan, spending: Spending | None = None) -> Trial:
    """Ask what is missing, and read all answers.

    Args:
        plan: From `plan_trial`.
        spending: How much may be spent; without it, nothing is limited.

    Raises:
        EngineFault: The engine failed; the answers so far are kept.
        BudgetReached: A limit is reached; the answers so far are kept.
        WrongUse: The calls that the engine takes at once exceed a limit.
    """
    spending = spending or Spending(plan.prices)
    check_first_calls(plan, spending.budget.limits)
    with plan.workplace.store.writer(WRITES) as writer:
        asker = Asker(plan.task, plan.workplace, writer, spending, progress())
        answers = {prompt.name: asker.ask(plan.questions[prompt.name]) for prompt in plan.prompts}
    rows = tuple(
        TrialRow(one.key, one.row.entity, one.row.as_of, one.stratum, one.row.variables) for one in plan.sample.rows
    )
    read = {
        prompt.name: read_answers(plan.task, prompt, plan.sample.rows, answers[prompt.name]) for prompt in plan.prompts
    }
    return Trial(plan.task.name, plan.task.entity, tuple(read), rows, read)


def check_first_calls(plan: TrialPlan, limits: Limits) -> None:
    """Reject limits that are exceeded before the first answer is counted, as a refresh does.

    Raises:
        WrongUse: The calls that the engine takes at once exceed a limit.
    """
    asking = next((one for one in plan.versions if one.calls), None)
    if asking is None or limits == Limits():
        return
    stored, spool = known_answers(plan.workplace.store), Spool()
    requests = {one.request.key: one.request for one in plan.questions[asking.version]}
    asks = {key: 0 for key in requests if key not in stored}
    for key in asks:
        spool.add(requests[key])
    batch = first_batch(TaskPlan(plan.task, None, (), asks, spool=spool), plan.workplace.engine, plan.prices)
    if batch is not None and (faults := batch.faults(limits, plan.prices.currency)):
        raise WrongUse("\n".join(faults))


def read_answers(
    task: Task, prompt: Prompt, rows: Sequence[SampledRow], answers: Sequence[Answer]
) -> tuple[TrialAnswer, ...]:
    """Parse the answers of one version, as a refresh does."""
    parser = Parser(prompt.front.answer_schema)
    return tuple(_read(task, parser, row.row.choices, one) for row, one in zip(rows, answers, strict=True))


def _read(task: Task, parser: Parser, choices: tuple[str, ...], answer: Answer) -> TrialAnswer:
    text, fields, error = None, None, f"{answer.error}: {answer.detail}" if answer.error else None
    if answer.text is not None and answer.error is None:
        made, error = texts_of(answer.text, task, parser, choices)
        text = made.text if made else None
        try:
            fields = parser(answer.text)
        except ParseFault:
            fields = None
    return TrialAnswer(
        answer.key,
        answer.text,
        text,
        fields,
        error,
        answer.finish or None,
        answer.input_tokens,
        answer.output_tokens,
    )
