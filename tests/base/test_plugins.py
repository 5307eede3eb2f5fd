"""Plug-ins are found in the folder of their room and in a team's folders; what is wrong with them is said at once."""

import sys
from pathlib import Path

import pytest

from base.plugins import Kind, PluginFault, UnknownPlugin, choose, find, walk
from llm_tasks.pipeline.catalogue import TECHNIQUES
from llm_tasks.pipeline.task import Task

TOY = '''"""Toy: says hello."""

from llm_tasks.pipeline.task import EPOCH, Row, llm_task


@llm_task(entity="item", prompt=None)
def {name}(inputs):
    """One row."""
    yield Row("1", as_of=EPOCH, variables={{"text": "hello"}})
'''


def write(folder: Path, file: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(text)
    return folder


def test_ours_come_first_then_the_files_of_a_team_in_any_folder_below(tmp_path):
    write(tmp_path / "deep", "toy.py", TOY.format(name="toy"))
    ours = list(find(TECHNIQUES))

    assert list(find(TECHNIQUES, (tmp_path,))) == [*ours, "toy"]
    assert list(find(TECHNIQUES)) == ours  # what one config names stays its own
    plugin = walk(TECHNIQUES, (tmp_path,))[-1]
    assert (plugin.file, plugin.doc) == (str(tmp_path / "deep" / "toy.py"), "Toy: says hello.")
    assert walk(TECHNIQUES)[ours.index("kar_item")].file == "llm_tasks/kar_item.py"


def test_a_file_is_imported_once_whoever_asks(tmp_path):
    write(tmp_path, "toy.py", TOY.format(name="toy") + "\nimport sys\nsys.loaded = getattr(sys, 'loaded', 0) + 1\n")
    other = Kind("thing", "llm_tasks", Task)  # another kind, the same files

    assert find(TECHNIQUES, (tmp_path,))["toy"] is find(other, (tmp_path,))["toy"]
    assert sys.__dict__.pop("loaded") == 1


def test_all_files_that_fail_are_named_with_their_reason_and_what_to_do(tmp_path):
    write(tmp_path, "a.py", "import nowhere_to_be_found\n")
    write(tmp_path, "b.py", "def broken(:\n")
    write(tmp_path, "c.py", TOY.format(name="toy"))

    with pytest.raises(PluginFault) as fault:
        find(TECHNIQUES, (tmp_path,))
    lines = str(fault.value).splitlines()
    assert lines[0] == f"{tmp_path / 'a.py'}: ModuleNotFoundError: No module named 'nowhere_to_be_found'"
    assert lines[1].startswith(f"{tmp_path / 'b.py'}: SyntaxError")
    assert lines[2] == "  fix the file, or remove its folder from plugins: in knowflow.yaml"


def test_two_of_one_name_are_refused_with_both_places(tmp_path):
    write(tmp_path, "mine.py", TOY.format(name="kar_item"))

    with pytest.raises(PluginFault, match=r"mine\.py: the task kar_item is already in llm_tasks/kar_item\.py"):
        find(TECHNIQUES, (tmp_path,))


def test_an_unknown_name_is_told_with_those_there_are():
    with pytest.raises(UnknownPlugin, match=r"no such task: kar_itme\n  there are: .*kar_item, kar_user"):
        choose(TECHNIQUES, ["kar_item", "kar_itme"])
