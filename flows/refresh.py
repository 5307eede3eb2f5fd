"""The refresh flow: ask what is new, encode what is new, publish a release if the gates pass."""

from dataclasses import asdict, replace
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from app.asking import Asking, with_engine
from app.before_paying import check_before_paying
from app.config import Config, load_config
from app.encoding import encode_texts
from app.progress import progress
from app.publish import publish_release
from app.workplace import chosen_tasks, one_task, open_store, open_workplace, sharing_a_space
from feature_store.database import command_line
from feature_store.gate import GatesClosed
from feature_store.releases import get_release
from flows.ends import named_ends
from flows.observation import observing
from flows.secrets import read_secret
from llm_tasks.pipeline.expected import expected
from llm_tasks.pipeline.generate import Spending, generate
from llm_tasks.pipeline.plan import check_answerable, plan_task


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
    names = check_input(config, tasks, asking)
    asked: list[dict] = []
    for name in names:
        asked.append(ask(config, name, asking, asked))
    vectors = encode(config, sharing_a_space(config, names))
    create_table_artifact(key="refresh", table=asked, description="Rows, calls and tokens by task")
    return release(config, names, asking, asked, vectors)


@task(task_run_name="check input", cache_policy=NO_CACHE, persist_result=False)
def check_input(config: str, tasks: list[str] | None, asking: Asking) -> list[str]:
    """Check all that could end a run badly before any cost; return the names of the tasks to run."""
    settings = read_settings(config, asking)
    check_before_paying(settings, tasks, asking)
    return [chosen.name for chosen in chosen_tasks(settings, tasks)]


@task(task_run_name="ask {name}", cache_policy=NO_CACHE, persist_result=False)
def ask(config: str, name: str, asking: Asking, before: list[dict]) -> dict:
    """Ask for one technique's missing answers; return counts.

    Args:
        config: Path of knowflow.yaml.
        name: The technique.
        asking: As for the flow.
        before: Results of this task for the previous techniques, which have used some of the budget.
    """
    settings = read_settings(config, asking)
    workplace = replace(open_workplace(settings, read_secret), slice=asking.part)
    with workplace.store.writer(command_line()) as writer, observing(settings.home_folder, name) as observe:
        # Planned under the writer's lock, so that another process' new answers are not asked again.
        technique = one_task(settings, name)
        plan = plan_task(technique, workplace, retry=asking.retry, count_tokens=False)
        show_plan(plan.summary())
        check_answerable(plan, settings.engine.name)
        planned = asdict(expected(plan, workplace.engine))
        spending = Spending(settings.prices, asking.budget(before), observe)
        done = generate(plan, workplace, writer, progress(), spending)
    return {**asdict(done), **planned, "cached": plan.count("cached"), "currency": settings.prices.currency}


@task(task_run_name="encode", cache_policy=NO_CACHE, persist_result=False)
def encode(config: str, names: list[str]) -> list[dict]:
    """Encode the techniques' new texts; return the work of each encoder for each technique."""
    return encode_texts(load_config(config), names, progress())


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
    return with_engine(load_config(Path(config)), asking.engine, asking.model)
