"""The refresh flow: ask what is new, encode what is new, publish a release if the gates pass."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from app.asking import Asking
from app.before_paying import check_before_paying
from app.config import Config, load_config
from app.encoding import encode_texts
from app.input_lock import drop_left_inputs
from app.kept_data import keep_dataset
from app.progress import progress
from app.publish import publish_release
from app.unchanged import code_digest, note_refreshed, unchanged_since, what_is_read
from app.workplace import chosen_tasks, kept_plans, one_task, open_store, open_workplace, sharing_a_space
from base.failures import kind_of
from base.faults import WrongUse
from engines.protocol import KEPT
from feature_store.database import command_line
from feature_store.gate import GatesClosed
from feature_store.releases import get_release
from flows.ends import named_ends
from flows.observation import observing
from flows.secrets import read_secret
from llm_tasks.pipeline.budget import BudgetReached
from llm_tasks.pipeline.expected import expected
from llm_tasks.pipeline.generate import Spending, generate, stopped
from llm_tasks.pipeline.plan import check_answerable, plan_task
from llm_tasks.pipeline.shares import ask_in_shares, share_of


@flow(name="refresh", flow_run_name="refresh {config}")
@named_ends
def refresh(config: str, tasks: list[str] | None = None, asking: Asking = Asking()) -> str:  # noqa: B008 - is frozen
    """Bring the store up to date.

    Args:
        config: Path of knowflow.yaml.
        tasks: Techniques to run; by default those of knowflow.yaml.
        asking: Limits of the run, errors to retry, another engine; see `Asking`.

    Returns:
        Name of the release that is current afterwards.
    """
    settings = read_settings(config, asking)
    read = what_is_read(settings, tasks, asking)  # before anything is read: a later change is another digest
    code = code_digest(settings)
    if (current := unchanged_since(settings, read)) is not None:
        what = f"Nothing has changed since {current}: data, prompts, model and store are as they were."
        create_markdown_artifact(key="refresh", markdown=what)
        return current
    needs, weights = check_input(config, tasks, asking)
    found = ask_in_shares(needs, weights, lambda name, before, part: ask(config, name, asking, before, part))
    asked = [found[name] for name in needs if name in found]
    create_table_artifact(key="refresh", table=asked, description="Rows, calls and tokens by task")
    names = [one["task"] for one in asked if not one["left"]]
    spent = out_of_budget(needs, found)
    if spent and not (names and any(weights.values())):
        raise BudgetReached(spent)
    try:
        vectors = encode(config, sharing_a_space(config, names), asking)
    except WrongUse as fault:
        if spent:  # an encoder is fitted on texts that the budget kept from being made
            raise BudgetReached(f"{spent}\n  nothing was released: {fault}") from fault
        raise
    name = release(config, names, asking, [one for one in asked if not one["left"]], vectors)
    if spent:
        raise BudgetReached(f"{spent}\n  {name} holds what is complete: {', '.join(names)}")
    covered = code_digest(settings) == code  # else a plug-in has imported more while it ran
    if covered and not any(one["waits"] for one in asked):
        note_refreshed(settings, read, name)
    return name


@task(task_run_name="check input", cache_policy=NO_CACHE, persist_result=False)
def check_input(
    config: str, tasks: list[str] | None, asking: Asking
) -> tuple[dict[str, tuple[str, ...]], dict[str, float | None]]:
    """Check all that could end a run badly before any cost.

    Returns:
        The tasks to run, in order, with those whose answers each of them reads; and their weights in the budget.
    """
    settings = read_settings(config, asking)
    drop_left_inputs(settings.home_folder)
    keep_dataset(settings, check_before_paying(settings, tasks, asking))
    chosen = chosen_tasks(settings, tasks)
    options = {one.name: settings.tasks.get(one.name) or one.options() for one in chosen}
    return {one.name: tuple(one.needs) for one in chosen}, {name: of.budget_weight for name, of in options.items()}


@task(task_run_name="ask {name}", cache_policy=NO_CACHE, persist_result=False)
def ask(config: str, name: str, asking: Asking, before: list[dict], part: float) -> dict:
    """Ask for one technique's missing answers.

    Returns:
        Counts; `left` if the budget was spent before the end, `waits` if rows are asked again later by themselves.

    Args:
        config: Path of knowflow.yaml.
        name: The technique.
        asking: As for the flow.
        before: Results of this task for the previous techniques, which have used some of the limits.
        part: How much of what is left of the limits this technique may use, from 0 to 1.
    """
    settings = read_settings(config, asking)
    workplace = replace(open_workplace(settings, read_secret), slice=asking.part, kept=kept_plans(settings))
    with workplace.store.writer(command_line()) as writer, observing(settings.home_folder, name) as observe:
        # Planned under the writer's lock, so that another process' new answers are not asked again.
        technique = one_task(settings, name)
        plan = plan_task(technique, workplace, retry=asking.retry, count_tokens=False)
        show_plan(plan.summary())
        check_answerable(plan, settings.engine.name)
        planned = asdict(expected(plan, workplace.engine))
        budget = share_of(asking.limits, before, part)
        spending = Spending(settings.prices, budget, observe)
        try:
            done = generate(plan, workplace, writer, progress(), spending)
        except BudgetReached as reached:
            done = stopped(plan, reached, budget)
    waits = plan.summary()["waits_until"] is not None or any(kind_of(one).passes for one in done.errors)
    return {
        **asdict(done),
        **planned,
        "waits": waits,
        "cached": plan.count("cached"),
        "currency": settings.prices.currency,
    }


@task(task_run_name="encode", cache_policy=NO_CACHE, persist_result=False)
def encode(config: str, names: list[str], asking: Asking) -> list[dict]:
    """Encode the techniques' new texts; return the work of each encoder for each technique."""
    return encode_texts(read_settings(config, asking), names, progress())


@task(task_run_name="release", cache_policy=NO_CACHE, persist_result=False)
def release(config: str, names: list[str], asking: Asking, asked: list[dict], vectors: list[dict]) -> str:
    """Check the gates and publish; return the name of the current release."""
    settings = read_settings(config, asking)
    try:
        name = publish_release(settings, open_workplace(settings), names, asked, vectors)
    except GatesClosed as closed:
        show_gates([vars(gate) for gate in closed.gates], "nothing was released")
        raise
    show_gates(get_release(open_store(settings), name).facts.get("gates", []), name)
    return name


def out_of_budget(needs: Mapping[str, Sequence[str]], found: Mapping[str, Mapping]) -> str:
    """Return in words which tasks the budget stopped, or kept from being asked; nothing if there is none."""
    lines = [
        f"stopped after {one['calls']:,} of {one['calls'] + one['left']:,} calls of {one['task']}: {one['stopped']}"
        for one in found.values()
        if one["left"]
    ]
    waiting = [name for name in needs if name not in found and lines and set(needs[name]) & set(needs)]
    lines += [f"{name} waits for the answers of {', '.join(needs[name])}" for name in waiting]
    return "\n".join([*lines, f"  {KEPT}"]) if lines else ""


def show_plan(plan: dict) -> None:
    """Keep the plan of a technique as an artifact of the run, before anything is asked."""
    shown = ("task", "rows", "cached", "new", "changed", "failed", "calls")
    row = {name: plan[name] for name in shown} | {"why": ", ".join(f"{n:,} {why}" for why, n in plan["why"].items())}
    key = f"plan-{plan['task'].replace('_', '-')}"
    create_table_artifact(key=key, table=[row], description=f"Plan: {plan['calls']:,} calls of {plan['task']}")


def show_gates(gates: list[dict], of: str, key: str = "gates") -> None:
    """Keep the gates as an artifact of the run, with what each found."""
    shown = {"gate": "name", "holds": "holds", "stops": "blocks", "found": "found"}
    table = [{title: gate.get(key) for title, key in shown.items()} for gate in gates]
    create_table_artifact(key=key, table=table, description=f"Gates: {of}")


def read_settings(config: str, asking: Asking) -> Config:
    """Read knowflow.yaml, with the engine of the run if it sets one."""
    return asking.settings(load_config(Path(config)))
