"""Refuse, before the first call is paid for, a run that cannot end well; all faults are reported at once."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from app.arm_check import check_arms
from app.asking import Asking
from app.config import Config
from app.workplace import chosen_tasks, encoders_of, open_workplace
from base.faults import WrongUse
from llm_tasks.pipeline.budget import Prices
from llm_tasks.pipeline.first_batch import first_batch
from llm_tasks.pipeline.plan import plan_task
from llm_tasks.pipeline.workplace import Workplace
from sources.tables import Dataset


def check_before_paying(config: Config, tasks: Sequence[str] | None, asking: Asking) -> Dataset:
    """Check the data, the engine, prices, encoders, arms and limits of a refresh.

    Args:
        config: The config, with the engine of the run.
        tasks: Techniques to run; by default those of knowflow.yaml.
        asking: Limits of the run, and errors to retry.

    Returns:
        The data, which was loaded for it.

    Raises:
        WrongUse: With everything that is wrong.
    """
    names = [task.name for task in chosen_tasks(config, tasks)]
    opened: list[Workplace] = []
    all_at_once(
        [
            lambda: check_prices(config.prices, asking),
            *(lambda name=name: encoders_of(config, name) for name in names),
            lambda: check_arms(config),
            lambda: opened.append(replace(open_workplace(config), slice=asking.part)),
            lambda: [check_limits(config, names, asking, workplace) for workplace in opened],
        ]
    )
    return opened[0].dataset


def all_at_once(checks: Iterable[Callable[[], object]]) -> None:
    """Run all checks, and raise what they found as one error.

    Raises:
        WrongUse: At least one check failed; a single fault is raised as it is.
    """
    faults: list[WrongUse] = []
    for check in checks:
        try:
            check()
        except WrongUse as fault:
            if str(fault) not in map(str, faults):
                faults.append(fault)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise WrongUse("\n".join(map(str, faults)))


def check_prices(prices: Prices, asking: Asking) -> None:
    """Reject a limit on cost when nothing has a price.

    Raises:
        WrongUse: The limit would have no effect.
    """
    if asking.max_cost is not None and not prices.input_per_million and not prices.output_per_million:
        raise WrongUse(
            "--max-cost has no effect: knowflow.yaml sets no prices\n"
            "  add them: prices: {input_per_million: ..., output_per_million: ...}"
        )


def check_limits(config: Config, names: Sequence[str], asking: Asking, workplace: Workplace) -> None:
    """Reject limits that are exceeded before the first answer is counted.

    Raises:
        WrongUse: The first technique that asks cannot stay within a limit.
    """
    limits = asking.limits
    if limits == type(limits)():
        return
    for task in chosen_tasks(config, names):
        plan = plan_task(task, workplace, retry=asking.retry, count_tokens=False)
        batch = first_batch(plan, workplace.engine, config.prices)
        if batch is not None:
            if faults := batch.faults(limits, config.prices.currency):
                raise WrongUse("\n".join(faults))
            return
