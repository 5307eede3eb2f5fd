"""ONCE content summariser: makes an item's title informative, using what is known about the item.

Paper:     Liu et al. 2024, "ONCE: Boosting Content-based Recommendation with Both Open- and Closed-source Large
           Language Models" (WSDM, arXiv 2305.06566), section 3.2 (GENRE): content summarizer.
Idea:      a title alone says little; a model that is shown what the item is about writes one line about it, short
           enough to represent the item in a user's history.
Consumes:  items, and kar_item's answer about each; an item without one is left out.
Produces:  one text and its vectors per item; as_of = that of the answer it read, the epoch for an untuned model.
Cost:      1 call per item, about 150 tokens in, 30 out; asked again only when kar_item's answer changes.
Relations: kar_item adds what the catalogue lacks, this shortens it; once_profile shows it in histories.
Example:   knowflow plan --task once_summary
"""

from collections.abc import Iterator

from llm_tasks.pipeline.task import EPOCH, Inputs, Row, llm_task


@llm_task(entity="item", prompt="once_summary", needs=("kar_item",), lexical_space="item_facts", opt_in=True)
def once_summary(inputs: Inputs) -> Iterator[Row]:
    """Yield one row per item for which kar_item has an answer."""
    known = inputs.answers("kar_item")
    for item in inputs.dataset.items.iter_rows(named=True):
        read = known.newest(item["item"]) if inputs.wanted(item["item"]) else None
        if read is not None:
            shown = {"input": inputs.domain.item_description(item), "known": read.text}
            yield Row(item["item"], EPOCH, shown, reads=(read,))
