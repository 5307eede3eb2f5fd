"""The weekly-tune flow: tune a model by a recipe on the events and texts that there are now."""

from datetime import UTC, datetime
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from app.config import load_config
from app.tuning import chosen_recipe, tune
from flows.ends import named_ends
from tuning.recipe import Shown, Table


@flow(name="weekly-tune", flow_run_name="weekly-tune {recipe} {config}")
@named_ends
def weekly_tune(config: str, recipe: str = "encoder", model: str | None = None, options: dict[str, Any] = {}) -> str:  # noqa: B006 - Prefect copies parameters
    """Tune a model into a folder of this week; nothing uses it until knowflow.yaml names it.

    Args:
        config: Path of knowflow.yaml.
        recipe: Name of a recipe, as in `knowflow tune RECIPE`.
        model: The model that is tuned; by default that of the recipe.
        options: Options of the recipe, such as `{"epochs": 2}`.

    Returns:
        The folder of the tuned model. A run that is started again in the same week continues there, or finds it done.
    """
    week = datetime.now(UTC).strftime("%G-w%V")
    return tune_into(config, recipe, model, options, week)


@task(task_run_name="tune {recipe}", cache_policy=NO_CACHE, persist_result=False)
def tune_into(config: str, recipe: str, model: str | None, options: dict[str, Any], week: str) -> str:
    """Tune into `tuned/RECIPE/WEEK` of the home folder; keep what the recipe says as an artifact."""
    settings = load_config(config)
    chosen, using, checked = chosen_recipe(settings, recipe, model, options)
    out = settings.home_folder / "tuned" / recipe / week
    made, found = tune(settings, chosen, using, checked, out, resume=True)
    said = "\n\n".join(as_markdown(one) for one in (*found, *chosen.show(made)))
    key = f"tuned-{recipe.replace('_', '-')}"
    create_markdown_artifact(key=key, markdown=said, description=f"Tuned: {out}, revision {made.revision}")
    return str(out)


def as_markdown(shown: Shown) -> str:
    """Return what a recipe says as Markdown.

    Example:
        >>> print(as_markdown(Table("2 pairs", ["measure", "after"], [["recall@10", 0.5]])))
        2 pairs
        <BLANKLINE>
        | measure | after |
        |---|---|
        | recall@10 | 0.5 |
    """
    if not isinstance(shown, Table):
        return shown.text
    lines = [shown.columns, ["---"] * len(shown.columns), *shown.rows]
    table = [f"| {' | '.join(map(str, line))} |" for line in lines]
    table[1] = table[1].replace(" ", "")
    return "\n".join([shown.title, "", *table])
