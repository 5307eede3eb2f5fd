"""Knowledge cutoffs: what is published of known models, and nothing made up for others."""

import re
from datetime import date

import pytest
from pydantic import ValidationError

from engines.cutoffs import PUBLISHED, published_cutoff, read_cutoff
from engines.protocol import EngineConfig


@pytest.mark.parametrize(
    ("model", "cutoff"),
    [
        ("gpt-4o", date(2023, 10, 31)),
        ("gpt-4o-mini-2024-07-18", date(2023, 10, 31)),
        ("gpt-4.1-mini", date(2024, 6, 30)),
        ("meta-llama/Llama-3.1-8B-Instruct", date(2023, 12, 31)),
        ("models/Meta-Llama-3-8B/", date(2023, 3, 31)),
        ("recorded-2026-11", date(2026, 11, 1)),
        ("gpt-4o-audio-of-tomorrow", None),
        ("Qwen/Qwen2.5-7B-Instruct", None),  # its makers have not published one
        ("models/SmolLM2-135M", None),
        ("phi-40", None),
    ],
)
def test_a_known_model_has_its_published_cutoff_and_an_unknown_one_none(model, cutoff):
    assert published_cutoff(model) == cutoff


def test_a_month_means_its_last_day_and_every_row_of_the_table_can_be_read():
    assert (read_cutoff("2024-02"), read_cutoff("2023-12"), read_cutoff("2024-02-03")) == (
        date(2024, 2, 29),
        date(2023, 12, 31),
        date(2024, 2, 3),
    )
    for pattern, cutoff in PUBLISHED:
        assert re.compile(pattern)
        assert date(2021, 1, 1) < read_cutoff(cutoff) < date(2027, 1, 1)


def test_what_the_file_says_counts_before_what_is_published():
    assert EngineConfig(model="gpt-4o").cutoff == date(2023, 10, 31)
    assert EngineConfig(model="gpt-4o", knowledge_cutoff=date(2024, 1, 2)).cutoff == date(2024, 1, 2)
    assert EngineConfig.model_validate({"model": "mine", "knowledge_cutoff": "2024-02"}).cutoff == date(2024, 2, 29)
    assert EngineConfig(model="mine").cutoff is None
    for wrong in ("soon", "2024-13", "2024-00", "2024"):
        with pytest.raises(ValidationError, match="knowledge_cutoff"):
            EngineConfig.model_validate({"knowledge_cutoff": wrong})
