"""KAR item facts: what a large language model knows about an item.

Paper:     Xi et al. 2023, "Towards Open-World Recommendation with Knowledge Augmentation from LLMs", section 4.1.
Idea:      ask for the factors that matter in the domain, so that the answer adds what the catalogue lacks.
Consumes:  items (title and the fields the domain shows).
Produces:  one text and its vectors per item; as_of = the epoch, because no event is shown.
Cost:      1 call per item, about 70 tokens in, 75 out; only new or changed items are asked.
Relations: kar_user is its other half; item_facts is its control (the same item without a model's answer).
Example:   knowflow plan --task kar_item
"""

from collections.abc import Iterator

from llm_tasks.pipeline.arm import FACTS, Arm, Use
from llm_tasks.pipeline.task import EPOCH, Inputs, Row, llm_task

KNOWLEDGE = Arm(
    "knowledge",
    "The model's answers about items, as similarity to the history, as text quality and as taste, beside the facts.",
    (
        Use("similarity", (f"{FACTS}/dense", "kar_item/lexical", "kar_item/dense")),
        Use("quality", ("kar_item/lexical",)),
        Use("taste", (f"{FACTS}/dense", f"{FACTS}/lexical", "kar_item/dense", "kar_item/lexical")),
    ),
    controls="",  # unprefixed: facts, shuffled and random are the controls of this arm, the default to judge
)


@llm_task(entity="item", prompt="kar_item", own_data=True)
def kar_item(inputs: Inputs) -> Iterator[Row]:
    """Yield one row per item."""
    for item in inputs.dataset.items.iter_rows(named=True):
        if inputs.wanted(item["item"]):
            yield Row(item["item"], as_of=EPOCH, variables={"input": inputs.domain.item_description(item)})
