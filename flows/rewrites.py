"""The rewrites flow: ask for rewrites of new and changed queries, rank them by search, serve them in a release."""

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from app.asking import Asking
from app.publish import publish_release
from app.rewriting import TASK, check_rewrites, rank_rewrites
from app.workplace import open_workplace
from flows.ends import named_ends
from flows.refresh import ask, check_input, encode, out_of_budget, read_settings
from llm_tasks.pipeline.budget import BudgetReached
from retrieval.rewrite_table import RewriteTable


@flow(name="rewrites", flow_run_name="rewrites {config}")
@named_ends
def rewrites(config: str, asking: Asking = Asking()) -> str:  # noqa: B008 - is frozen
    """Bring the served table of rewrites up to date.

    Args:
        config: Path of knowflow.yaml.
        asking: Limits of the run, errors to retry, another engine; see `Asking`.

    Returns:
        Name of the release that is current afterwards.
    """
    check_ranking(config, asking)
    check_input(config, [TASK], asking)
    asked = ask(config, TASK, asking, [], 1.0)
    if spent := out_of_budget({TASK: ()}, {TASK: asked}):
        raise BudgetReached(spent)
    vectors = encode(config, [TASK], asking)
    table = rank(config, asking)
    create_table_artifact(key="rewrites", table=[asked], description="Rows, calls and tokens")
    return release(config, asking, asked, vectors, table)


@task(task_run_name="check ranking", cache_policy=NO_CACHE, persist_result=False)
def check_ranking(config: str, asking: Asking) -> None:
    """Check, before any cost, that rewrites can be ranked."""
    check_rewrites(read_settings(config, asking))


@task(task_run_name="rank", cache_policy=NO_CACHE, persist_result=False)
def rank(config: str, asking: Asking) -> str:
    """Rank all rewrites; return the path of the next table."""
    settings = read_settings(config, asking)
    path = settings.home_folder / "rewrites.parquet"  # for inspection if a gate fails
    rank_rewrites(settings, open_workplace(settings)).save(path)
    return str(path)


@task(task_run_name="release", cache_policy=NO_CACHE, persist_result=False)
def release(config: str, asking: Asking, asked: dict, vectors: list[dict], table: str) -> str:
    """Check the gates and publish; return the name of the current release."""
    settings = read_settings(config, asking)
    staged = RewriteTable.load(table, settings.gates.rewrites)
    return publish_release(settings, open_workplace(settings), [TASK], [asked], vectors, staged)
