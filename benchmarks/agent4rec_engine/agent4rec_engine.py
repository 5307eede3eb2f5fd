"""A stand-in for a model that plays agent4rec's agents by a rule, from the prompt and the genres of its films.

It shows that a simulation runs and is measured from end to end and says nothing of how a language model would act. An
agent watches a film that has a genre it likes, and rates it 3.5, half a point more for each such genre and one less for
each that it dislikes. Its satisfaction is 1 and nine times the share of the page that it rates at least 4; it goes on
when it watched anything.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from base.frozen import Frozen
from engines.protocol import Engine, EngineConfig, EngineKind
from engines.request import Answer, ModelIdentity, Request
from prompts.domain import Domain

TASTES = re.compile(r"^Likes: (.*)\. Dislikes: (.*)\.$", flags=re.MULTILINE)
"""How benchmarks/agent4rec.py writes an agent's tastes."""


class AgentEngineOptions(Frozen):
    """Options of scripted_agents."""

    genres: str
    """JSON file: what a page calls a film -> its genres."""


class AgentEngine:
    """Answers by the rules that the module's docstring says."""

    token_counter = "words between spaces"
    context_tokens: int | None = None

    def __init__(self, identity: ModelIdentity, genres: Mapping[str, Sequence[str]]) -> None:
        self.identity = identity
        self._genres = genres

    def count_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Words between spaces."""
        return sum(len(message["content"].split()) for message in messages)

    def generate(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Answer one by one."""
        for request in requests:
            text = said(request.messages[-1]["content"], self._genres)
            tokens = self.count_tokens(request.messages)
            yield Answer(request.key, text, input_tokens=tokens, output_tokens=len(text.split()))


def said(shown: str, genres: Mapping[str, Sequence[str]]) -> str:
    """What the rules say of a page."""
    tastes = TASTES.search(shown)
    likes, dislikes = (set(group.split(", ")) for group in tastes.groups()) if tastes else (set[str](), set[str]())
    page = [line.removeprefix("- ") for line in shown.rpartition("This page recommends:")[2].strip().splitlines()]
    watched = {
        name: min(max(3.5 + 0.5 * len(of & likes) - len(of & dislikes), 0.5), 5.0)
        for name in page
        if (of := set(genres[name])) & likes
    }
    good = sum(rating >= 4 for rating in watched.values()) / len(page)
    return json.dumps(
        {
            "watch": list(watched),
            "ratings": [f"{rating:g}" for rating in watched.values()],
            "satisfaction": round(1 + 9 * good, 2),
            "feeling": f"{len(watched)} of {len(page)} are for me",
            "next": bool(watched),
        }
    )


def _build(config: EngineConfig, options: AgentEngineOptions, domain: Domain, folder: Path, secret: Any) -> Engine:
    genres = json.loads((folder / options.genres).read_text(encoding="utf-8"))
    return AgentEngine(ModelIdentity(config.model, config.revision), genres)


AGENT_ENGINE = EngineKind("scripted_agents", "a rule in place of a model, for agent4rec", AgentEngineOptions, _build)
