"""Item facts without a model: title and fields as the domain describes them, encoded like an answer.

Paper:     the control that KAR's published gain lacks (docs/explanation/kar.md, K9).
Idea:      what the prompt already contains costs nothing; knowledge is worth what it adds to that.
Consumes:  items.
Produces:  one text and its vectors per item; as_of = the epoch.
Cost:      no call.
Relations: the control of kar_item, and a feature of its own.
Example:   knowflow plan --task item_facts
"""

from collections.abc import Iterator

from llm_tasks.pipeline.task import EPOCH, Inputs, Row, llm_task


@llm_task(entity="item", prompt=None, own_data=True)
def item_facts(inputs: Inputs) -> Iterator[Row]:
    """Yield one row per item; its text is the item as a prompt would show it."""
    for item in inputs.dataset.items.iter_rows(named=True):
        if inputs.wanted(item["item"]):
            yield Row(item["item"], as_of=EPOCH, variables={"text": inputs.domain.item_description(item)})
