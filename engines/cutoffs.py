"""Until when a model knows the world: published training cutoffs of known models, as proposals for knowflow.yaml.

A model that was trained on texts of 2024 knows how the films of 1999 were received. Describing them to samples of 1999
is knowledge that nobody had then; only rows later than the cutoff are free of it. The table holds what the makers have
published and nothing else: a model that is not in it has an unknown cutoff until `engine.knowledge_cutoff` says it.
"""

import calendar
import re
from datetime import date

PUBLISHED = (
    # pattern of the model's name (no folder, no owner, lower case), and the cutoff: a day, or a month = its last day
    # OpenAI, platform.openai.com/docs/models, "knowledge cutoff" on the page of each model
    (r"gpt-3\.5-turbo.*", "2021-09"),
    (r"gpt-4-turbo.*", "2023-12"),
    (r"gpt-4o(-mini)?(-20\d\d-\d\d-\d\d)?", "2023-10"),
    (r"gpt-4\.1.*", "2024-06"),
    # Meta, the model card of each (MODEL_CARD.md in github.com/meta-llama/llama-models), "data freshness"
    (r"llama-2-\d+b.*", "2023-07"),  # pretraining until 2022-09, tuning data until 2023-07
    (r"(meta-)?llama-3-8b.*", "2023-03"),
    (r"(meta-)?llama-3-70b.*", "2023-12"),
    (r"(meta-)?llama-3\.[123]-\d+b.*", "2023-12"),
    # Microsoft, the model cards, "static model trained on an offline dataset with cutoff date"
    (r"phi-3-(mini|small|medium)-.*", "2023-10"),
    (r"phi-3\.5-(mini|moe)-.*", "2023-10"),
    (r"phi-4", "2024-06"),
    # Google, the model card of Gemma 3, "training dataset"
    (r"gemma-3-\d+b.*", "2024-08"),
    # This project: the example's answers were given in November 2026, so that its model cannot know later months
    (r"recorded-2026-11", "2026-11-01"),
)


def published_cutoff(model: str) -> date | None:
    """Look up the published cutoff of a model by its name or its folder; None where none is known.

    Example:
        >>> published_cutoff("meta-llama/Llama-3.1-8B-Instruct"), published_cutoff("models/SmolLM2-135M")
        (datetime.date(2023, 12, 31), None)
    """
    name = re.split(r"[/\\]", model.rstrip("/\\"))[-1].lower()
    return next((read_cutoff(cutoff) for pattern, cutoff in PUBLISHED if re.fullmatch(pattern, name)), None)


def read_cutoff(text: str) -> date:
    """Read a cutoff: a day, or a month, which means its last day, for a later cutoff claims less.

    Raises:
        ValueError: It is neither.

    Example:
        >>> read_cutoff("2023-12"), read_cutoff("2023-12-01")
        (datetime.date(2023, 12, 31), datetime.date(2023, 12, 1))
    """
    month = re.fullmatch(r"(\d{4})-(\d{2})", text)
    if month is None:
        return date.fromisoformat(text)
    year, number = int(month[1]), int(month[2])
    return date(year, number, calendar.monthrange(year, max(1, min(number, 12)))[1])
