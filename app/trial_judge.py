"""Let a model judge between versions of a prompt: both texts about a row, in both orders."""

from collections.abc import Sequence
from itertools import combinations

from app.config import Config
from app.progress import progress
from app.trial_plan import TrialPlan
from app.trial_repeats import COLD
from app.trials import WRITES
from app.workplace import open_workplace
from base.faults import WrongUse
from engines.request import Answer, Request, candidates_of
from evals.prompts.judging import Judged, measure_judge
from evals.prompts.text.novelty import shown_text
from evals.trial import Measured, Trial
from llm_tasks.pipeline.ask import Asker, Question
from llm_tasks.pipeline.generate import Spending
from llm_tasks.pipeline.parse import ParseFault, Parser
from llm_tasks.pipeline.plan import NAME_AN_ENGINE, unanswered
from llm_tasks.pipeline.task import Task, answer_text
from llm_tasks.pipeline.workplace import Workplace
from prompts.library import choose_prompt
from prompts.prompt import Prompt

JUDGE = "text_judge"
"""Name of the judge's prompt; a team may write its own."""


def ask_judge(config: Config, plan: TrialPlan, trial: Trial, spending: Spending) -> list[Measured]:
    """Let a model say which of two texts about the same row is better, in both orders.

    Args:
        config: The config with the engine of the judge.
        plan: The plan of the trial.
        trial: The trial.
        spending: What may be spent.

    Raises:
        WrongUse: The engine calls no model.
        BudgetReached: A limit is reached; the answers so far are kept.
    """
    workplace = open_workplace(config, dataset=plan.workplace.dataset)
    task = Task(JUDGE, trial.entity, JUDGE, answer_text, lambda _: iter(()), JUDGE)
    prompt = choose_prompt(JUDGE, None, workplace.library)
    twice = bool(prompt.front.sampling.get("temperature"))
    with workplace.store.writer(WRITES) as writer:
        asker = Asker(task, workplace, writer, spending, progress())
        questions = _questions(asker, trial, twice)
        keys = {one.request.key for several in questions.values() for one in several}
        if keys and unanswered(workplace, keys) == len(keys):
            raise WrongUse(
                f"--judge: the engine {workplace.engine.identity.model!r} calls no model\n  {NAME_AN_ENGINE}"
            )
        said = {place: asker.ask(several) for place, several in questions.items()}
    judged = {pair: _judged(trial, pair, said, prompt, twice) for pair in combinations(trial.versions, 2)}
    return measure_judge(trial.versions, judged, COLD, plan.seed)


Place = tuple[str, str, bool]
"""The version that stands first, the other, and whether this is asked once more."""


def _questions(asker: Asker, trial: Trial, twice: bool) -> dict[Place, list[Question]]:
    """Render the questions of all pairs in both orders; only rows that both versions have a text of are asked about."""
    made: dict[Place, list[Question]] = {}
    for one, other in combinations(trial.versions, 2):
        for first, second in ((one, other), (other, one)):
            pairs = zip(trial.rows, trial.texts(first), trial.texts(second), strict=True)
            asked = [
                asker.question(JUDGE, {"shown": shown_text(row.variables), "first": a, "second": b})
                for row, a, b in pairs
                if a is not None and b is not None
            ]
            made[first, second, False] = asked
            if twice and first == one:
                made[first, second, True] = [Question(q.prompt, _again(q, asker.workplace)) for q in asked]
    return made


def _again(question: Question, workplace: Workplace) -> Request:
    return candidates_of(question.request, workplace.engine.identity, 2)[1]


def _judged(
    trial: Trial, pair: tuple[str, str], said: dict[Place, list[Answer]], prompt: Prompt, twice: bool
) -> list[Judged]:
    """Put the answers of both orders side by side, with rows that were not asked about."""
    one, other = pair
    parser = Parser(prompt.front.answer_schema)
    first, swapped = _choices(said[one, other, False], parser), _choices(said[other, one, False], parser)
    again = _choices(said[one, other, True], parser) if twice else [None] * len(first)
    answers = iter(zip(first, swapped, again, strict=True))
    both = zip(trial.texts(one), trial.texts(other), strict=True)
    return [Judged(None, None) if None in texts else Judged(*next(answers)) for texts in both]


def _choices(answers: Sequence[Answer], parser: Parser) -> list[str | None]:
    return [_choice(answer, parser) for answer in answers]


def _choice(answer: Answer, parser: Parser) -> str | None:
    if answer.text is None:
        return None
    try:
        return str(parser(answer.text))
    except ParseFault:
        return None
