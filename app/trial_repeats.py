"""Ask the questions of a trial again with other seeds, and measure how alike the answers are."""

from app.progress import progress
from app.trial_plan import TrialPlan
from app.trials import WRITES, read_answers
from engines.request import candidates_of
from evals.prompts.text.agreement import agreement
from evals.trial import Measured, Trial
from llm_tasks.pipeline.ask import Asker, Question
from llm_tasks.pipeline.generate import Spending

COLD = "its temperature is 0: the same question always gets the same answer"


def measure_agreement(plan: TrialPlan, trial: Trial, number: int, spending: Spending) -> Measured:
    """Ask every question again with other seeds, of versions that may answer differently, and compare the answers.

    Args:
        plan: The plan of the trial.
        trial: The trial.
        number: How many answers each question gets in all.
        spending: What may be spent.

    Raises:
        BudgetReached: A limit is reached; the answers so far are kept.
    """
    warm = [prompt for prompt in plan.prompts if prompt.front.sampling.get("temperature")]
    why_not = {prompt.name: COLD for prompt in plan.prompts if prompt not in warm}
    repeats: dict[str, list[tuple[str | None, ...]]] = {}
    identity = plan.workplace.identity_of(plan.task)
    with plan.workplace.store.writer(WRITES) as writer:
        asker = Asker(plan.task, plan.workplace, writer, spending, progress())
        for prompt in warm:
            asked = [candidates_of(one.request, identity, number) for one in plan.questions[prompt.name]]
            said = asker.ask([Question(prompt, request) for several in asked for request in several])
            answers = [said[place : place + number] for place in range(0, len(said), number)]
            rows = [[row] * number for row in plan.sample.rows]
            texts = [read_answers(plan.task, prompt, row, several) for row, several in zip(rows, answers, strict=True)]
            repeats[prompt.name] = [tuple(one.text for one in several) for several in texts]
    return agreement(trial, repeats, why_not, plan.seed)
