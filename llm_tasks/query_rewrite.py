"""BEQUE query rewriting: what to send to a keyword search instead of what the user typed.

Paper:     Peng et al. 2024, "Large Language Model based Long-tail Query Rewriting in Taobao Search" (BEQUE,
           arXiv 2311.03758), sections 4.1 and 4.2.
Idea:      few users type a rare query in the catalogue's words; a model works out what is meant and supplies them.
Consumes:  queries, each once by its normalised text; shown as it was typed most often, or as `only` lists it.
Produces:  one text per query, its rewrites line by line, best first; as_of = the epoch, because no event is shown. No
           vectors are needed (`encoders: []`): the flow `rewrites` ranks rewrites and stores them where a search reads.
Cost:      1 call per query, about 170 tokens in, 60 out; only new and changed queries are asked.
Relations: kar_item's texts are good documents to search in; `knowflow eval rewrites` measures what rewrites are worth.
Example:   knowflow plan --task query_rewrite
"""

from collections.abc import Iterator, Mapping
from typing import Any

from llm_tasks.pipeline.task import EPOCH, Inputs, Row, llm_task
from sources.queries import normalised, query_table


def rewrites_text(answer: Mapping[str, Any]) -> str:
    """Return the rewrites of an answer, one per line; the model's `thought` is dropped.

    Example:
        >>> rewrites_text({"thought": "Heists.", "rewrites": ["bank heist thriller", "Heat  Ocean's Eleven"]})
        "bank heist thriller\\nHeat Ocean's Eleven"
    """
    return "\n".join(" ".join(rewrite.split()) for rewrite in answer["rewrites"])


@llm_task(entity="query", prompt="query_rewrite", encode=rewrites_text)
def query_rewrite(inputs: Inputs) -> Iterator[Row]:
    """Yield one row per query; a query listed by `only` is shown as it is spelled there."""
    listed = {normalised(one): one for one in sorted(inputs.only or (), reverse=True)}
    for query, shown in query_table(inputs.dataset).select("query", "shown").iter_rows():
        if inputs.only is None or query in listed:
            spelling = listed.get(query) or shown
            yield Row(query, as_of=EPOCH, variables={"query": " ".join(spelling.split())})
