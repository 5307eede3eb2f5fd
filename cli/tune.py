"""knowflow tune RECIPE: tunes a model by a built-in recipe or by a plug-in.

The command of each recipe is built from its options after --config is read, because the config names plug-in folders.
"""

import shlex
from collections.abc import Callable, Sequence
from inspect import Parameter as Argument
from inspect import Signature
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from pydantic import create_model

from app.config import load_config
from app.tuning import tune as tune_by
from base.faults import WrongUse
from base.frozen import Frozen
from base.plugins import find
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, bars, print_json, print_line, print_table, say
from tuning.recipe import RECIPES, Line, Recipe, Shown, Table

HELP = """Tune a model by a recipe: adapters, whole models, encoders. `knowflow tune RECIPE --help` lists its options.

Example: knowflow tune sft --model models/Qwen3-0.6B --instructions instructions.jsonl --out adapters/recgen
"""
HELP_FLAGS = ("--help", "-h")
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
"""Pydantic's name of a bound -> its name in the help."""
Out = Annotated[Path, Parameter(help="New folder for the result.")]
Resume = Annotated[bool, Parameter(negative="", help="Continue a tuning that was stopped.")]
Model = Annotated[str, Parameter(help="Folder of the model, or a name that the recipe knows.")]


def tune(*words: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Find the named recipe and run its command.

    Raises:
        WrongUse: The first word is an option.
    """
    if words and words[0].startswith("-") and not set(words) & set(HELP_FLAGS):
        new = shlex.join(["knowflow", "tune", "sft", *words])
        raise WrongUse(f"knowflow tune needs the name of a recipe first\n  run: {new}\n  see: knowflow tune --help")
    return make_app(find(RECIPES, plugin_folders(words)).values())(
        ["tune", *words], exit_on_error=False, print_error=False
    )


def plugin_folders(words: Sequence[str]) -> tuple[Path, ...]:
    """Return the plug-in folders of the config that the words name, and none when there is no such file."""
    path = DEFAULT_CONFIG
    for word, following in pairwise([*words, ""]):
        name, _, value = word.partition("=")
        if name in ("--config", "-c"):
            path = value or following
    return load_config(path).plugin_folders if Path(path).is_file() else ()


def make_app(recipes: Any) -> App:
    """Build the command `tune` with one subcommand per recipe, below `knowflow` so that messages name both."""
    app = App(
        name="tune",
        help=HELP,
        help_format="plaintext",
        version_flags=[],
        default_parameter=Parameter(negative_iterable=()),
        suppress_keyboard_interrupt=False,
    )
    for recipe in recipes:
        about = f"Learns from: {', '.join(recipe.learns_from)}.\nLoss: {recipe.loss}.\nWrites: {recipe.exports}."
        app.command(
            command_of(recipe), name=recipe.name, help=f"{recipe.summary}\n\n{about}\n\nExample: {recipe.example}"
        )
    root = App(name="knowflow", help_format="plaintext", version_flags=[], suppress_keyboard_interrupt=False)
    root.command(app)
    return root


def command_of(recipe: Recipe[Any]) -> Callable[..., int]:
    """Build the function of a recipe's command, with the options shared by all recipes and its own."""

    def command(**given: Any) -> int:
        options = given.get("options") or recipe.options()
        model = given.get("model", recipe.model)
        config, out = load_config(given.get("config", DEFAULT_CONFIG)), given["out"]
        with bars():
            made, found = tune_by(config, recipe, model, options, out, resume=given.get("resume", False))
        if given.get("json", False):
            print_json({"out": str(out.resolve()), "revision": made.revision, **made.result})
            return 0
        for shown in (*found, *recipe.show(made)):
            print_shown(shown)
        return 0

    needed = any(field.is_required() for field in recipe.options.model_fields.values())
    hints = {
        "config": (ConfigPath, DEFAULT_CONFIG),
        "model": (Model, Argument.empty if recipe.model is None else recipe.model),
        "out": (Out, Argument.empty),
        "resume": (Resume, False),
        "options": (
            Annotated[with_bounds(recipe.options), Parameter(name="*")],
            Argument.empty if needed else recipe.options(),
        ),
        "json": (AsJson, False),
    }
    arguments = [Argument(name, Argument.KEYWORD_ONLY, default=of[1], annotation=of[0]) for name, of in hints.items()]
    command.__dict__["__signature__"] = Signature(arguments, return_annotation=int)
    command.__name__ = recipe.name
    command.__annotations__ = {name: of[0] for name, of in hints.items()}
    return command


def with_bounds(options: type[Frozen]) -> type[Frozen]:
    """Return the same options, with their bounds in the help."""
    fields: dict[str, Any] = {}
    for name, field in options.model_fields.items():
        marks = [(one, mark) for one in field.metadata for mark in BOUNDS if hasattr(one, mark)]
        bounds = ", ".join(f"{BOUNDS[mark]} {getattr(one, mark):g}" for one, mark in marks)
        shown = Parameter(
            help=f"{field.description or ''}{bounds and f' [{bounds}]'}",
            show_default=False if field.default == () else None,
        )
        fields[name] = (Annotated[field.annotation, *field.metadata, shown], field)
    return create_model(options.__name__, __base__=options, **fields)


def print_shown(shown: Shown) -> None:
    """Print a line or a table of results, or a note beside them."""
    if isinstance(shown, Table):
        print_table(shown.title, shown.columns, shown.rows)
    elif isinstance(shown, Line):
        print_line(shown.text)
    else:
        say(shown.text)
