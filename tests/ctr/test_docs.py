"""Docstrings of the room: every example runs."""

import doctest
import importlib
import pkgutil

import pytest

import ctr

MODULES = sorted(info.name for info in pkgutil.walk_packages(ctr.__path__, "ctr.") if not info.ispkg)


@pytest.mark.parametrize("name", MODULES)
def test_every_example_gives_what_it_says(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    tried = [doctest.testmod(importlib.import_module(f"ctr.{name}")).attempted for name in ("earlier", "train")]

    assert all(count > 0 for count in tried)
