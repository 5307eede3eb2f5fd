"""The rooms of the house: the README prints them in import order, and no module imports a room below its own."""

import ast
import re
import tomllib
from pathlib import Path
from statistics import median

import pytest

import knowflow_start

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOT_ROOMS = {"examples", "benchmarks", "docs", "tests"}
"""What the tree lists besides rooms."""
ALONE = {
    "lancedb": {"feature_store"},
    "lance": {"feature_store"},
    "prefect": {"flows", "cli"},
    "vllm": {"engines", "encoders"},
    "ray": {"engines"},
}
"""Library -> the rooms that may import it."""
TABLES = {"numpy", "polars", "torch", "pandas"}
LONGEST, MEDIAN = 350, (80, 150)


def rooms() -> list[str]:
    tree = README.split("## The tree")[1].split("```text\n")[1].split("```")[0]
    return [name for name in re.findall(r"^(\w+)/", tree, flags=re.MULTILINE) if name not in NOT_ROOMS]


ROOMS = rooms()
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """Top names of everything that a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_every_folder_with_code_is_a_room_of_the_tree():
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    assert set(ROOMS) == folders - NOT_ROOMS
    assert tuple(ROOMS) == knowflow_start.ROOMS
    assert len(ROOMS) == len(set(ROOMS))
    assert len(ROOMS) > 10


def test_every_package_is_installed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    there = {
        ".".join(path.parent.relative_to(ROOT).parts) for room in ROOMS for path in (ROOT / room).rglob("__init__.py")
    }

    assert sorted(listed) == sorted(there)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_itself_and_rooms_above_it_alone(room):
    below = set(ROOMS[ROOMS.index(room) + 1 :])

    backwards = {
        str(path.relative_to(ROOT)): sorted(imported(path) & below)
        for path in sorted((ROOT / room).rglob("*.py"))
        if imported(path) & below
    }
    assert backwards == {}


def test_libraries_that_one_room_knows_are_imported_by_no_other():
    wrong = [
        f"{path.relative_to(ROOT)} imports {library}"
        for path in FILES
        for library in imported(path) & set(ALONE)
        if path.relative_to(ROOT).parts[0] not in ALONE[library]
    ]
    assert wrong == []


def test_flows_pass_ids_and_paths_and_never_tables():
    assert [path.name for path in sorted((ROOT / "flows").glob("*.py")) if imported(path) & TABLES] == []


def test_files_are_neither_long_nor_crumbs():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES if path.name != "__init__.py"}

    assert [str(path.relative_to(ROOT)) for path, lines in lengths.items() if lines > LONGEST] == []
    assert MEDIAN[0] <= median(lengths.values()) <= MEDIAN[1]
