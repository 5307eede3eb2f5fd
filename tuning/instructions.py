"""Rows that teach a model to rewrite queries: a mix of four kinds of instructions.

Paper:     Peng et al. 2024 (BEQUE, arXiv 2311.03758), section 3.2: multi-instruction supervised tuning.
Idea:      a model that can also say what a query is about, whether a rewrite is good and what users found with a query
           rewrites better than one that has seen only rewrites.
Consumes:  judged rewrites of training queries (`rejection.py`), and what users found with these queries.
Produces:  conversations for `supervised.tune`:
           rewrite: query -> a rewrite that passes both filters;
           thought: query -> the thought behind it, and on the next line the rewrite;
           quality: query and rewrite -> Yes if it passes, No if it does not or was written for another query;
           title:   query -> the title of an item that users found with it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from base.faults import WrongUse
from prompts.domain import Domain
from prompts.library import SHIPPED, Library, choose_prompt
from sources.queries import normalised
from tuning.config import RewriteConfig
from tuning.conversations import Conversation, digest
from tuning.mixture import Mixture

PROMPTS = {
    "rewrite": "query_to_rewrite",
    "thought": "query_thought",
    "quality": "query_quality",
    "title": "title_prediction",
}
"""Kind of row -> task name of its prompt."""
Said = tuple[Mapping[str, str], str]
"""The variables of a prompt, and the answer to learn."""


def rewrite_mixture(
    judged: pl.DataFrame,
    kept: pl.Series,
    found: pl.DataFrame,
    domain: Domain,
    config: RewriteConfig,
    library: Library = SHIPPED,
) -> Mixture:
    """Collect and mix the rows to learn.

    As many rows are used as the shares allow without repetition: all rows of the kind that is scarcest for its share,
    and a matching number of the others, drawn at random.

    Args:
        judged: Judged rewrites of training queries only: query, shown, thought, rewrite.
        kept: [n] Boolean, from `rejection.keep`.
        found: What users found: `shown` (a training query) and `title`.
        domain: The words of the domain.
        config: Shares and seed.
        library: Where the prompts are looked for.

    Raises:
        WrongUse: A kind with a share above 0 has no row.
    """
    shares = {kind: float(getattr(config, f"{kind}_share")) for kind in PROMPTS}
    shares = {kind: share for kind, share in shares.items() if share > 0}
    if not shares:
        raise WrongUse("every kind of row has a share of 0\n  raise --rewrite-share")
    chance = np.random.default_rng([config.seed, 2])
    gathered = {kind: _gather(kind, judged, kept, found, chance) for kind in shares}
    _check(gathered)
    total = min(len(rows) / shares[kind] for kind, rows in gathered.items())
    counts = {kind: max(1, int(total * share + 1e-9)) for kind, share in shares.items()}
    conversations: list[Conversation] = []
    kinds: list[str] = []
    facts: dict[str, dict[str, Any]] = {}
    for kind, rows in gathered.items():
        prompt = choose_prompt(PROMPTS[kind], library=library)
        chosen = [rows[place] for place in chance.permutation(len(rows))[: counts[kind]]]
        written: list[Conversation] = [
            (*prompt.render(shown, domain), {"role": "assistant", "content": answer}) for shown, answer in chosen
        ]
        conversations += written
        kinds += [kind] * len(written)
        facts[kind] = {
            "rows": len(written),
            "of": len(rows),
            "prompt": prompt.name,
            "prompt_digest": prompt.digest,
            "digest": digest(written),
        }
    order = chance.permutation(len(conversations))
    return Mixture([conversations[place] for place in order], [kinds[place] for place in order], [], facts)


def _check(gathered: Mapping[str, Sequence[Said]]) -> None:
    reasons = {
        "rewrite": "no rewrite passes both filters\n  lower --min-relevance or --min-increment",
        "thought": "no rewrite that passes both filters has a thought\n  add --thought-share 0",
        "quality": "good and bad rewrites are both needed\n  add --quality-share 0",
        "title": "it is unknown what users found with queries\n  add --title-share 0",
    }
    wrong = [f"rows of kind {kind}: {reasons[kind]}" for kind, rows in gathered.items() if not rows]
    if wrong:
        raise WrongUse("\n".join(wrong))


def _gather(
    kind: str, judged: pl.DataFrame, kept: pl.Series, found: pl.DataFrame, chance: np.random.Generator
) -> list[Said]:
    """Return all rows of a kind."""
    good = judged.filter(kept)
    makers: dict[str, Callable[[], list[Said]]] = {
        "rewrite": lambda: [({"query": row["shown"]}, row["rewrite"]) for row in good.iter_rows(named=True)],
        "thought": lambda: [
            ({"query": row["shown"]}, f"{row['thought']}\n{row['rewrite']}")
            for row in good.drop_nulls("thought").iter_rows(named=True)
        ],
        "quality": lambda: _quality(good, judged.filter(~kept), chance),
        "title": lambda: [({"query": shown}, title) for shown, title in found.select("shown", "title").iter_rows()],
    }
    return makers[kind]()


def _quality(good: pl.DataFrame, bad: pl.DataFrame, chance: np.random.Generator) -> list[Said]:
    """Return as many bad rewrites as good ones: those that did not pass, then good ones of other queries."""
    yes, no = (list(part.select("query", "shown", "rewrite").iter_rows()) for part in (good, bad))
    no = [no[place] for place in chance.permutation(len(no))[: len(yes)]]
    own = {(query, normalised(rewrite)) for query, _, rewrite in (*yes, *no)}
    for place, other in enumerate(chance.permutation(len(yes))):
        (query, shown, _), rewrite = yes[place], yes[other][2]
        if len(no) < len(yes) and (query, normalised(rewrite)) not in own:
            no.append((query, shown, rewrite))
    # Equally many of both answers, or the model learns which one is more common.
    yes = [yes[place] for place in chance.permutation(len(yes))[: len(no)]]
    said = [*((row, "Yes") for row in yes), *((row, "No") for row in no)]
    return [({"query": shown, "rewrite": rewrite}, word) for (_, shown, rewrite), word in said]
