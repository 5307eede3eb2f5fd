"""The refresh flow: ask what is new, encode what is new, publish a release when the gates hold."""

from dataclasses import asdict
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from feature_store.database import command_line
from flows.config import load_config
from flows.encoding import encode_apart
from flows.progress import progress
from flows.publish import publish_release
from flows.workplace import chosen_tasks, encoders_of, open_workplace, sharing_a_space
from llm_tasks.pipeline.generate import generate
from llm_tasks.pipeline.plan import plan_task


@flow(name="refresh", flow_run_name="refresh {config}")
def refresh(config: str, tasks: list[str] | None = None, retry_failed: bool = False) -> str:
    """Bring the store up to date.

    Args:
        config: Path of knowflow.yaml.
        tasks: Techniques to run; those of knowflow.yaml when left out.
        retry_failed: Ask again for rows whose error is on record.

    Returns:
        Name of the release that is current afterwards.
    """
    names = check_input(config, tasks)
    asked = [ask(config, name, retry_failed) for name in names]
    vectors = [made for name in sharing_a_space(config, names) for made in encode(config, name)]
    create_table_artifact(key="refresh", table=asked, description="Rows, calls and tokens by task")
    return release(config, names, asked, vectors)


@task(task_run_name="check input", cache_policy=NO_CACHE, persist_result=False)
def check_input(config: str, tasks: list[str] | None) -> list[str]:
    """Validate the data and the encoders before anything is paid for; returns the names of the tasks to run."""
    settings = load_config(Path(config))
    open_workplace(settings)
    names = [chosen.name for chosen in chosen_tasks(settings, tasks)]
    for name in names:
        encoders_of(settings, name)
    return names


@task(task_run_name="ask {name}", cache_policy=NO_CACHE, persist_result=False)
def ask(config: str, name: str, retry_failed: bool) -> dict:
    """Ask what one technique lacks; returns counts."""
    settings = load_config(Path(config))
    place = open_workplace(settings)
    with place.store.writer(command_line()) as writer:
        # Planned while nobody else can write: what another process has just asked is not asked again.
        plan = plan_task(chosen_tasks(settings, [name])[0], place, retry_failed=retry_failed)
        done = generate(plan, place, writer, progress())
    cost = settings.prices.cost(done.input_tokens, done.output_tokens)
    return {**asdict(done), "cached": plan.count("cached"), "cost": cost, "currency": settings.prices.currency}


@task(task_run_name="encode {name}", cache_policy=NO_CACHE, persist_result=False)
def encode(config: str, name: str) -> list[dict]:
    """Encode one technique's new texts; returns what each encoder did."""
    return encode_apart(load_config(config), name, progress())


@task(task_run_name="release", cache_policy=NO_CACHE, persist_result=False)
def release(config: str, names: list[str], asked: list[dict], vectors: list[dict]) -> str:
    """Check the gates and publish; returns the name of the current release."""
    settings = load_config(Path(config))
    return publish_release(settings, open_workplace(settings), names, asked, vectors)
