"""The reference of knowflow.yaml is what its generator writes from the code of today."""

import runpy
from pathlib import Path

from app.config import Config

MAKER = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "make_reference.py"))
PAGE = MAKER["PAGE"].read_text(encoding="utf-8")


def test_the_page_is_what_the_code_says():
    assert MAKER["page"]() == PAGE, f"the settings have changed; write the page anew: {MAKER['COMMAND']}"


def test_every_setting_of_every_config_class_is_explained():
    found = dict(MAKER["classes"](Config.model_fields, ""))

    assert {"source.events", "source.items", "tasks.NAME", "tasks.NAME.only", "encoders.NAME", "gates"} <= set(found)
    for place, config in found.items():
        for name, field in config.model_fields.items():
            assert field.description, f"{place}.{name} has no docstring"
            assert f"| `{name}` |" in PAGE


def test_every_option_of_every_engine_encoder_and_technique_is_explained_under_its_own():
    kinds = {
        title: options
        for place in ("engine", "encoders.NAME", "tasks.NAME", "recommenders.NAME")
        for title, _, options, _ in MAKER["of_kinds"](place)
    }

    assert {
        "engine.options of openai",
        "encoders.NAME of kind lexical",
        "engine.options.urls",
        "tasks.kar_user",
        "recommenders.star",
    } <= set(kinds)
    for title, options in kinds.items():
        part = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
        for name, field in options.items():
            assert field.description, f"{title}: {name} has no docstring"
            assert f"| `{name}` |" in part


def test_types_bounds_and_defaults_are_written_in_words():
    assert "| `train` | number, above 0, below 1 | `0.8` | Share of training events. |" in PAGE
    assert "| `by` | `user_position` or `global_time` |" in PAGE
    assert r'| `separator` | text, not empty | `"\|"` |' in PAGE
    assert "| `user` | text | *required* | Column of the user id. |" in PAGE


def test_every_link_leads_to_a_heading():
    headings = {line[3:].lower().replace(".", "") for line in PAGE.splitlines() if line.startswith("## ")}
    links = {part.split(")")[0] for part in PAGE.split("(#")[1:]}

    assert links <= headings
