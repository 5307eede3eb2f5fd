"""The catalogue page is what its generator writes from the docstrings of today."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKER = runpy.run_path(str(ROOT / "docs" / "make_catalogue.py"))
PAGE = MAKER["PAGE"].read_text(encoding="utf-8")


def test_the_page_is_what_the_code_says():
    assert MAKER["page"]() == PAGE, f"a docstring has changed; write the page anew: {MAKER['COMMAND']}"


def test_every_file_the_page_names_is_there():
    named = [line.strip("`") for line in PAGE.splitlines() if line.startswith("`") and line.endswith(".py`")]

    assert len(named) >= 11
    assert [name for name in named if not (ROOT / name).is_file()] == []
