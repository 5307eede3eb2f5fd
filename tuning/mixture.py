"""Mix recommendation rows and general instructions, half and half, so that general ability is kept."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from base.faults import WrongUse
from prompts.domain import Domain
from prompts.library import SHIPPED, Library, choose_prompt
from sources.faults import FaultKind
from sources.tables import Dataset
from tuning.config import TuningConfig
from tuning.conversations import Conversation, digest, read_conversations
from tuning.recommendation import PROMPT, answers, choose_rows, write_rows

RECOMMENDATION, INSTRUCTIONS = "recommendation", "instructions"


@dataclass(frozen=True)
class Mixture:
    """Conversations in the order in which they are packed."""

    conversations: Sequence[Conversation]
    """The conversations to learn."""
    kinds: Sequence[str]
    """The kind of each conversation: `recommendation` or `instructions`, or a kind of `instructions.py`."""
    held_out: Sequence[Conversation]
    """Recommendation rows that are not learned."""
    facts: Mapping[str, Mapping[str, Any]]
    """The origin of each kind: rows used, out of how many, and digests."""
    words: Sequence[str] = ()
    """The two answers of recommendation rows: the first one means that the user likes the item."""

    def with_facts(self, more: Mapping[str, Mapping[str, Any]]) -> "Mixture":
        """Return a copy with more facts."""
        return replace(self, facts={**self.facts, **more})


def mix(
    dataset: Dataset,
    domain: Domain,
    config: TuningConfig,
    instructions: Path | None = None,
    skip: Collection[FaultKind] = (),
    library: Library = SHIPPED,
) -> Mixture:
    """Collect and mix the rows to learn.

    Both kinds get as many rows as the smaller one has: no row is repeated, and the rows of the larger one are chosen at
    random. If a kind is missing, all rows of the other are used.

    Args:
        dataset: The user's data; only training events are used.
        domain: The words of the domain.
        config: Share, history and seed.
        instructions: JSONL file of conversations; None = only recommendation rows.
        skip: Kinds of faults for which lines of that file are left out.
        library: Where the prompt is looked for.

    Raises:
        SourceFaults: The file of instructions cannot be used.
        WrongUse: There is nothing to learn.
    """
    chance = np.random.default_rng([config.seed, 1])
    given = read_conversations(instructions, skip) if instructions else []
    choice = choose_rows(dataset, domain, config.share, config.history_length, config.seed)
    learnt = len(choice.learnt)
    if not learnt and not given:
        raise WrongUse(
            "there is nothing to learn: no training event is used, and there are no instructions\n"
            "  raise --share, or give --instructions FILE"
        )
    count = min(learnt, len(given)) if learnt and given else max(learnt, len(given))
    chosen = choice.learnt[:count]
    recommended = write_rows(choice, chosen, dataset, domain, library)
    taken = [given[place] for place in chance.permutation(len(given))[:count]]
    conversations = [*recommended, *taken]
    kinds = [RECOMMENDATION] * len(recommended) + [INSTRUCTIONS] * len(taken)
    order = chance.permutation(len(conversations))
    facts: dict[str, dict[str, Any]] = {}
    words: Sequence[str] = ()
    if recommended:
        prompt = choose_prompt(PROMPT, library=library)
        words = answers(prompt)
        facts[RECOMMENDATION] = {
            "rows": len(recommended),
            "of": learnt + len(choice.kept),
            "share": config.share,
            "data_version": dataset.version,
            "prompt": prompt.name,
            "prompt_digest": prompt.digest,
            "newest_event": str(choice.events["time"].gather(chosen).max()),
            "digest": digest(recommended),
        }
    if taken and instructions:
        facts[INSTRUCTIONS] = {
            "rows": len(taken),
            "of": len(given),
            "file": instructions.name,
            "digest": digest(taken),
        }
    return Mixture(
        [conversations[place] for place in order],
        [kinds[place] for place in order],
        write_rows(choice, choice.kept[: config.held_out], dataset, domain, library) if recommended else [],
        facts,
        words,
    )
