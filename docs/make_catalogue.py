"""Writes docs/catalogue.md from the docstrings in the code: `python docs/make_catalogue.py`."""

from pathlib import Path
from typing import Any

from base.plugins import Kind, walk
from ctr.adapters.catalogue import ADAPTERS
from ctr.backbones.protocol import BACKBONES
from ctr.controls import ARMS
from encoders.choose import ENCODERS
from engines.choose import ENGINES
from evals.measures.protocol import MEASURES
from llm_tasks.pipeline.catalogue import TECHNIQUES
from recommenders.code_maker import CODE_MAKERS
from recommenders.protocol import RECOMMENDERS
from tuning.optimiser import OPTIMISERS
from tuning.recipe import RECIPES

PAGE = Path(__file__).parent / "catalogue.md"
COMMAND = "python docs/make_catalogue.py"
HEAD = f"""<!-- Written by `{COMMAND}` from the docstrings in the code; edit those, not this page. -->
# Catalogue

All plug-ins. They are found in the folders of their rooms and in the folders under `plugins:` in knowflow.yaml;
[CONTRIBUTING](../CONTRIBUTING.md) shows how to add one of each kind.
"""
KINDS: dict[str, Kind[Any]] = {
    "Techniques": TECHNIQUES,
    "Engines": ENGINES,
    "Encoders": ENCODERS,
    "Recipes": RECIPES,
    "Optimisers of prompts": OPTIMISERS,
    "Makers of codes": CODE_MAKERS,
    "Recommenders": RECOMMENDERS,
    "Adapters": ADAPTERS,
    "Backbones": BACKBONES,
}
SHORT: dict[str, tuple[str, Kind[Any]]] = {
    "Arms": (
        "`knowflow train` compares these; the name of any technique is an arm too. Each arm NAME has controls:\n"
        "NAME-facts, NAME-shuffled, NAME-random, NAME-labels, where they make sense (`ctr/controls.py`); those of\n"
        "`knowledge` are called facts, shuffled and random.",
        ARMS,
    ),
    "Measures": ("Every top-k evaluation reports these.", MEASURES),
}


def page() -> str:
    """Return the whole page."""
    parts = [HEAD, *(_section(title, kind) for title, kind in KINDS.items())]
    parts += [_list(title, says, kind) for title, (says, kind) in SHORT.items()]
    return "\n".join(parts)


def _section(title: str, kind: Kind[Any]) -> str:
    entries = [f"### {one.name}\n\n`{one.file}`\n\n```text\n{one.doc.strip()}\n```\n" for one in walk(kind)]
    return f"## {title}\n\n" + "\n".join(entries)


def _list(title: str, says: str, kind: Kind[Any]) -> str:
    entries = "\n".join(f"- **{one.name}** (`{one.file}`): {one.value.about}" for one in walk(kind))
    return f"## {title}\n\n{says}\n\n{entries}\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
