"""The page about Python: all its examples run, in their order, in an empty folder."""

import doctest
from contextlib import chdir
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "python.md"


@pytest.mark.slow(reason="runs a refresh and trains two arms, each in a process of its own")
def test_every_example_of_the_page_gives_what_it_says(tmp_path, prefect_server):
    with chdir(tmp_path):
        found = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)

    assert (found.failed, found.attempted > 20) == (0, True)
