"""BEQUE query rewriting: what a keyword search should be asked instead of what the user typed.

Paper:     Peng et al. 2024, "Large Language Model based Long-tail Query Rewriting in Taobao Search" (BEQUE,
           arXiv 2311.03758), sections 4.1 and 4.2.
Idea:      few users type a rare query in the catalogue's words; a model thinks what is meant and names these words.
Consumes:  queries, each once by its normalised text; shown as it was typed most often, or as `only` lists it.
Produces:  one text a query, its rewrites line by line, best first; as_of = the epoch, for no event is shown. No vectors
           are needed (`encoders: []`): the flow `rewrites` ranks them and keeps them in the table that a search reads.
Cost:      1 call a query, about 170 tokens in, 60 out; only new and changed queries are asked.
Relations: kar_item's texts make good documents to search in; what a rewrite is worth says `knowflow eval rewrites`.
Example:   knowflow plan --task query_rewrite
"""

from collections.abc import Iterator, Mapping
from typing import Any

from llm_tasks.pipeline.task import EPOCH, Inputs, Row, llm_task
from sources.queries import normalised, query_table


def rewrites_text(answer: Mapping[str, Any]) -> str:
    """Write the rewrites of an answer, one a line; the thought is the model's own and is not kept here.

    Example:
        >>> rewrites_text({"thought": "Heists.", "rewrites": ["bank heist thriller", "Heat  Ocean's Eleven"]})
        "bank heist thriller\\nHeat Ocean's Eleven"
    """
    return "\n".join(" ".join(rewrite.split()) for rewrite in answer["rewrites"])


@llm_task(entity="query", prompt="query_rewrite", encode=rewrites_text)
def query_rewrite(inputs: Inputs) -> Iterator[Row]:
    """One row a query; a query that `only` lists is shown as it stands there."""
    listed = {normalised(one): one for one in sorted(inputs.only or (), reverse=True)}
    for query, shown in query_table(inputs.dataset).select("query", "shown").iter_rows():
        if inputs.only is None or query in listed:
            spelling = listed.get(query) or shown
            yield Row(query, as_of=EPOCH, variables={"query": " ".join(spelling.split())})
