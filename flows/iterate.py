"""The iterate flow: measure versions of a prompt on a sample of rows, before all rows are paid for."""

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from app.asking import Asking
from app.config import load_config
from app.trial_evaluation import Wanted, evaluate_trial
from app.trial_plan import plan_trial
from app.trial_results import caveats_of, not_kept, write_result
from base.faults import CheckFailed
from evals.prompts.tables import measure_tables
from evals.prompts.thresholds import read_bounds
from flows.ends import named_ends
from flows.weekly_tune import as_markdown
from tuning.recipe import Table


@flow(name="iterate", flow_run_name="iterate {technique} {config}")
@named_ends
def iterate(
    config: str,
    technique: str,
    versions: list[str],
    sample: int = 50,
    seed: int = 0,
    fail_under: dict[str, float] = {},  # noqa: B006 - Prefect copies parameters
    asking: Asking = Asking(),  # noqa: B008 - is frozen
) -> str:
    """Try and evaluate versions of a prompt, as `knowflow prompts eval` does; promote one by hand afterwards.

    Args:
        config: Path of knowflow.yaml.
        technique: Name of a technique.
        versions: Versions of its prompt, such as `["v1", "v2"]`; the first is the one that others are compared with.
        sample: Number of rows.
        seed: Seed of the sample.
        fail_under: Measure -> the least that the last version must reach, such as `{"probe": 0.35}`.
        asking: Engine, model and limits of the run.

    Returns:
        Path of the page.

    Raises:
        CheckFailed: The last version is below a bound, or does not pass a test of your own; the page is written all
            the same.
    """
    page, broken = evaluate_versions(config, technique, versions, sample, seed, fail_under, asking)
    if broken:
        raise CheckFailed("\n".join([*broken, f"  see: {page}"]))
    return page


@task(task_run_name="evaluate {versions}", cache_policy=NO_CACHE, persist_result=False)
def evaluate_versions(
    config: str,
    technique: str,
    versions: list[str],
    sample: int,
    seed: int,
    fail_under: dict[str, float],
    asking: Asking,
) -> tuple[str, list[str]]:
    """Ask and measure; keep tables and verdicts as an artifact. Gives the page, and the bounds that are not kept."""
    bounds = read_bounds("fail_under", [f"{name}={least}" for name, least in fail_under.items()])
    settings = asking.settings(load_config(config))
    plan = plan_trial(settings, technique, versions, sample, seed)
    result = evaluate_trial(settings, plan, Wanted(), asking.limits)
    command = f"knowflow prompts eval {technique} --versions {','.join(versions)} --sample {sample} --seed {seed}"
    page = write_result(settings, result, f"{command} --config {config}")
    said = [*result.verdicts, *(f"Note: {caveat}" for caveat in caveats_of(result))]
    for table in measure_tables(result.measured, result.trial.versions):
        rows = [[name, *cells] for name, _, cells in table.rows]
        said.append(as_markdown(Table(table.caption, table.columns, rows)))
    key = f"prompts-{technique.replace('_', '-')}"
    create_markdown_artifact(key=key, markdown="\n\n".join(said), description=f"{', '.join(versions)}: {page}")
    return str(page), not_kept(result, bounds, {})
