"""Provides a tuning recipe with its inputs and runs its job, so that recipes know neither the config nor the store."""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from app.config import Config
from app.progress import progress
from app.workplace import open_dataset, open_domain, open_store
from base.faults import WrongUse
from base.plugins import choose
from engines.model_folder import fingerprint
from feature_store.lineage import EPOCH, read_lineage
from llm_tasks.pipeline.catalogue import choose_tasks
from tuning.config import RewriteConfig
from tuning.inputs import JudgedRewrites, Readers, RecipeInputs
from tuning.recipe import RECIPES, Made, O, Recipe, Shown, carry_out

CLOCKS = ("as_of", "seen_until", "model_seen_until")


def tune(
    config: Config, recipe: Recipe[O], model: str, options: O, out: Path, *, resume: bool = False
) -> tuple[Made[O], Sequence[Shown]]:
    """Tune a model by a recipe.

    Args:
        config: The config, with the data, the domain, and what is searched.
        recipe: The recipe.
        model: The model to tune, in the form that the recipe takes.
        options: The recipe's options.
        out: Folder of the tuned model.
        resume: Continue the tuning in `out`.

    Returns:
        The result, and what the recipe found out before tuning.
    """
    inputs = RecipeInputs(recipe.name, recipe.learns_from, readers(config))
    job = recipe.prepare(inputs, model, options)
    result = carry_out(job, out, resume=resume, noted=inputs.noted)
    return Made(options, result, out, fingerprint(out.resolve())), job.shown


def chosen_recipe(
    config: Config, name: str, model: str | None, options: Mapping[str, Any]
) -> tuple[Recipe[Any], str, Any]:
    """Find a recipe by its name, and check its model and options.

    Returns:
        The recipe, the model to tune, the validated options.

    Raises:
        UnknownPlugin: There is no such recipe.
        WrongUse: The recipe needs a model, or options are wrong.
    """
    recipe = choose(RECIPES, [name], config.plugin_folders)[0]
    if (using := model or recipe.model) is None:
        raise WrongUse(f"the recipe {name} needs the model to tune\n  see: knowflow tune {name} --help")
    try:
        return recipe, using, recipe.options.model_validate(options)
    except ValidationError as error:
        lines = [f"{name}: option {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise WrongUse("\n".join([*lines, f"  see: knowflow tune {name} --help"])) from None


def readers(config: Config) -> Readers:
    """Return functions that read the data, domain, texts and rewrites of a config; the data is read once."""
    vllm = config.engine.name == "vllm"
    return Readers(
        dataset=cache(partial(open_dataset, config)),
        domain=cache(partial(open_domain, config)),
        library=config.library,
        texts=partial(item_texts, config),
        rewrites=partial(rewrites, config),
        template=config.engine.options.get("template", {}) if vllm else {},
        skip=config.skipped(),
        progress=progress(),
    )


def rewrites(config: Config, settings: RewriteConfig, files: Sequence[Path]) -> JudgedRewrites:
    """Evaluate rewrites by search; see `app.rewriting.judged_rewrites`."""
    from app.rewriting import judged_rewrites  # noqa: PLC0415 - the search takes a second to import

    return judged_rewrites(config, settings, files)


def item_texts(config: Config, task: str) -> pl.DataFrame:
    """Read the texts of a technique about items from the store.

    Returns:
        entity, as_of, text, and known: the newest event that the row or the answering model has seen; null if they have
        seen none.

    Raises:
        WrongUse: The technique is about something else, or has no text yet.
    """
    if choose_tasks([task], config.plugin_folders)[0].entity != "item":
        raise WrongUse(f"--knowledge: {task} is not about items\n  choose one that is, such as kar_item")
    rows = read_lineage(open_store(config), [task], ["entity", "text", *CLOCKS]).drop_nulls("text")
    if rows.is_empty():
        raise WrongUse(f"--knowledge: {task} has no text yet\n  make some: knowflow refresh --task {task}")
    known = pl.max_horizontal(CLOCKS)
    return rows.select("entity", "as_of", "text", pl.when(known > EPOCH).then(known).alias("known"))
