"""Knowledge cutoffs of models: published training cutoffs of known models, used unless knowflow.yaml gives one.

A model trained on texts from 2024 knows how the films of 1999 were received. Showing that to samples from 1999 uses
knowledge that nobody had then; only rows later than the cutoff are free of it. The table holds only what the makers
have published: a model that is not in it has an unknown cutoff unless `engine.knowledge_cutoff` gives one.
"""

import calendar
import re
from datetime import date

PUBLISHED = (
    # pattern of the model's name (lower case, no folder or owner), and the cutoff: a day, or a month = its last day
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
    # This project: the example's answers were given in November 2026, so its model cannot know later months
    (r"recorded-2026-11", "2026-11-01"),
)


def published_cutoff(model: str) -> date | None:
    """Return the published cutoff of a model, by its name or folder; None if unknown.

    Example:
        >>> published_cutoff("meta-llama/Llama-3.1-8B-Instruct"), published_cutoff("models/SmolLM2-135M")
        (datetime.date(2023, 12, 31), None)
    """
    name = re.split(r"[/\\]", model.rstrip("/\\"))[-1].lower()
    return next((read_cutoff(cutoff) for pattern, cutoff in PUBLISHED if re.fullmatch(pattern, name)), None)


def read_cutoff(text: str) -> date:
    """Parse a cutoff: a day, or a month, which means its last day, because a later cutoff claims less.

    Raises:
        ValueError: The text is neither.

    Example:
        >>> read_cutoff("2023-12"), read_cutoff("2023-12-01")
        (datetime.date(2023, 12, 31), datetime.date(2023, 12, 1))
    """
    month = re.fullmatch(r"(\d{4})-(\d{2})", text)
    if month is None:
        return date.fromisoformat(text)
    year, number = int(month[1]), int(month[2])
    return date(year, number, calendar.monthrange(year, max(1, min(number, 12)))[1])
