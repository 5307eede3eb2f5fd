"""Writes docs/catalogue.md from the docstrings in the code: `python docs/make_catalogue.py`."""

import inspect
from pathlib import Path

from ctr.adapters.catalogue import find_adapters
from ctr.arms import arms_of
from ctr.backbones.gbdt import Trees
from ctr.model import BACKBONES
from llm_tasks.pipeline.catalogue import find_tasks

PAGE = Path(__file__).parent / "catalogue.md"
COMMAND = "python docs/make_catalogue.py"
HEAD = f"""<!-- Written by `{COMMAND}` from the docstrings in the code; edit those, not this page. -->
# Catalogue

What there is, one small file each. [CONTRIBUTING](../CONTRIBUTING.md) shows how to add one.
"""


def page() -> str:
    """The whole page."""
    techniques = {name: task.doc for name, task in find_tasks().items()}
    adapters = {name: _doc(adapter.prepare) for name, adapter in find_adapters().items()}
    backbones = {name: _doc(backbone) for name, backbone in BACKBONES.items()} | {"gbdt": _doc(Trees)}
    arms = "\n".join(f"- **{arm.name}**: {arm.about}" for arm in arms_of().values())
    parts = [
        HEAD,
        _section("Techniques", "llm_tasks", techniques),
        _section("Adapters", "ctr/adapters", adapters),
        _section("Backbones", "ctr/backbones", backbones),
        f"## Arms\n\nWhat `knowflow train` compares; the name of any technique is an arm too.\n\n{arms}\n",
    ]
    return "\n".join(parts)


def _doc(thing: object) -> str:
    return inspect.getdoc(inspect.getmodule(thing)) or ""


def _section(title: str, folder: str, docs: dict[str, str]) -> str:
    entries = [f"### {name}\n\n`{folder}/{name}.py`\n\n```text\n{doc.strip()}\n```\n" for name, doc in docs.items()]
    return f"## {title}\n\n" + "\n".join(entries)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
