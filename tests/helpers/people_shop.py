"""A shop whose users have long ids, with two releases, and a technique whose prompts quote what was said of users."""

import shutil
from pathlib import Path
from typing import Any

CIRCLES = '''"""Circles: what two users have in common, asked with what was said of each.

Paper:     none; this stands in a test.
Idea:      a prompt about somebody else may quote a user.
Consumes:  the answers of kar_user.
Produces:  one text per circle of two users.
Cost:      1 call a circle.
Relations: kar_user.
Example:   knowflow plan --task circles
"""

from collections.abc import Iterator

from llm_tasks.pipeline.task import EPOCH, Inputs, Row, llm_task


@llm_task(entity="circle", prompt="circles", creates=True, needs=("kar_user",))
def circles(inputs: Inputs) -> Iterator[Row]:
    """One row per two neighbours."""
    read = list(inputs.answers("kar_user").all())
    for one, other in zip(read[::2], read[1::2]):
        yield Row(f"circle {one.entity[-1]}", EPOCH, {"one": one.text, "other": other.text}, reads=[one, other])
'''
PROMPT = """---
task: circles
version: 1
status: live
schema: {type: text}
sampling: {temperature: 0.0, max_tokens: 7}
---
# user
What have these two in common?
{{ one }}
{{ other }}
"""
ASKED = ("kar_item", "kar_user", "circles")


def name_of(number: int) -> str:
    """Name of a user: long enough to be told from anything else."""
    return f"customer-{number:04d}"


def people_shop(build_shop: Any, folder: Path, users: int = 4) -> Any:
    """Build the shop: 12 items, some users with 5 events each, two snapshots, two releases."""
    (folder / "ours" / "prompts").mkdir(parents=True)
    (folder / "ours" / "circles.py").write_text(CIRCLES)
    (folder / "ours" / "prompts" / "circles.v1.md").write_text(PROMPT)
    tasks = {"kar_item": {}, "kar_user": {"snapshots": [0.5, 1.0]}, "circles": {}}
    shop = build_shop(folder / "shop", users=users, tasks=tasks, plugins=[str(folder / "ours")])
    shop.write_events([(name_of(int(user[1:])), *rest) for user, *rest in shop.events()])
    shop.release(*ASKED)
    shop.write_items(
        {f"i{place}": f"Gadget {place}" for place in range(3)} | {f"i{n}": f"Thing {n}" for n in range(3, 12)}
    )
    shop.release(*ASKED)
    return shop


def copy_of(folder: Path, new: Path) -> Any:
    """Copy the shop of a folder, with its technique, to another folder."""
    from tests.conftest import opened

    shutil.copytree(folder, new, dirs_exist_ok=True)
    shop = opened(new / "shop")
    shop.configure(plugins=[str(new / "ours")])
    return shop
