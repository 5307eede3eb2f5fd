"""Rows that have their own choices: an answer is one of them as declared, another one is an error of its row alone."""

import pytest

TOYS = '''
from llm_tasks.pipeline.task import EPOCH, Row, llm_task

@llm_task(entity="item", prompt="pick", opt_in=True)
def pick(inputs):
    """Every item picks another one; two items show the same and may pick differently."""
    items = inputs.dataset.items["item"].to_list()
    for place, item in enumerate(items):
        others = tuple(name.upper() for name in items if name != item)
        yield Row(item, EPOCH, {"thing": f"thing {place // 2}"}, choices=others)
'''
PROMPT = """---
task: pick
version: 1
status: live
schema: {type: text}
sampling: {temperature: 0.0, max_tokens: 7}
---
# user
Pick beside {{ thing }}
"""


@pytest.fixture
def picking(make_shop, tmp_path):
    folder = tmp_path / "toys"
    folder.mkdir()
    (folder / "toys.py").write_text(TOYS)
    (folder / "pick.v1.md").write_text(PROMPT)
    return make_shop(items=6, plugins=[str(folder)])


def test_an_answer_is_a_choice_of_its_own_row_or_an_error(picking):
    picking.configure(rules={"thing 0": "**i0**", "thing 1": "I9", "thing 2": " i1. "})

    made = picking.ask("pick")

    rows = {row["entity"]: row for row in picking.lineage("pick").values()}
    assert {name: row["text"] for name, row in rows.items()} == {
        "i0": None,  # itself, which i1 may pick by the very same answer
        "i1": "I0",
        "i2": None,
        "i3": None,
        "i4": "I1",
        "i5": "I1",
    }
    assert rows["i2"]["error"].startswith("parse: 'I9' is none of I0, I1, I3")
    assert made.errors == {"parse": 3}
    assert made.calls == 3
