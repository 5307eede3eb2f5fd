"""A stand-in for a model: recorded answers where there are some, and rules for ONCE's prompts.

It shows that ONCE's techniques run from end to end; it says nothing that the recorded answers do not hold. A summary is
the first sentence of what is known; topics are the words that stand most often in the summaries of films that a user
rated at least 4; regions are the places among these words.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from base.frozen import Frozen
from engines.protocol import Engine, EngineConfig, EngineKind
from engines.recorded import RecordedEngine
from engines.request import Answer, ModelIdentity, Request
from prompts.domain import Domain

PLACES = (  # as summaries name them
    "american",
    "british",
    "french",
    "italian",
    "german",
    "japanese",
    "chinese",
    "indian",
    "korean",
    "russian",
    "mexican",
)
COMMON = (
    "with",
    "that",
    "this",
    "from",
    "film",
    "films",
    "movie",
    "story",
    "acclaimed",
    "praised",
    "widely",
    "known",
    "their",
)
EVENT = re.compile(r": ([\d.]+) - (.*)$")


class OnceEngineOptions(Frozen):
    """Options of scripted_once."""

    files: dict[str, str]
    """Prompt name -> Parquet file of its recorded answers, as for `recorded`."""


class OnceEngine:
    """Answers from the record, else by the rules that the module's docstring says."""

    token_counter = "the recorded engine's"

    def __init__(self, recorded: RecordedEngine) -> None:
        self._recorded = recorded
        self.identity: ModelIdentity = recorded.identity  # recorded answers are found under their own model's name
        self.context_tokens: int | None = None

    def count_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        """As the recorded engine counts."""
        return self._recorded.count_tokens(messages)

    def generate(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Answer one by one."""
        for request in requests:
            (answer,) = self._recorded.generate([request])
            if answer.text is None:
                text = said(request.messages[-1]["content"])
                answer = Answer(request.key, text, None, "", answer.input_tokens, len(text.split()))
            yield answer


def said(shown: str) -> str:
    """What the rules say of a prompt."""
    if "Known about it: " in shown:
        return shown.split("Known about it: ")[1].split(". ", maxsplit=1)[0]
    liked = [found[2] for line in shown.splitlines() if (found := EVENT.search(line)) and float(found[1]) >= 4]
    words = Counter(word for text in liked for word in re.findall(r"[a-z]{4,}", text.lower()) if word not in COMMON)
    regions = [word for word, _ in words.most_common() if word in PLACES][:5]
    topics = [word for word, _ in words.most_common() if word not in PLACES][:8]
    return json.dumps({"topics": topics or ["films"], "regions": regions})


def _build(config: EngineConfig, options: OnceEngineOptions, domain: Domain, folder: Path, secret: Any) -> Engine:
    files = {name: folder / file for name, file in options.files.items()}
    return OnceEngine(RecordedEngine(config.model, config.revision, files, domain, None))


ONCE_ENGINE = EngineKind("scripted_once", "rules in place of a model, for ONCE", OnceEngineOptions, _build)
