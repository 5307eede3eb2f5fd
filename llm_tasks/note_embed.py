"""NoteLLM's item embeddings: every item as a note, for an encoder that was tuned on what the same people choose.

Paper:     Zhang et al. 2024, "NoteLLM: A Retrievable Large Language Model for Note Recommendation" (arXiv 2403.01744),
           section 3.
Idea:      only the note is encoded; what a model learned to write after it (category, hashtags) is not part of it.
Consumes:  items (title and the fields the domain shows).
Produces:  one text and its vectors per item; as_of = the epoch, or what a tuned encoder has seen.
Cost:      no call; one forward pass of the encoder per new or changed item.
Relations: note_pairs and knowflow tune encoder make the encoder; item_facts is the same text for frozen encoders, so
           without a tuned encoder this adds nothing. It therefore runs only where it is named: under `tasks:` as
           note_embed: {encoders: [note]}, or with --task.
Example:   knowflow plan --task note_embed
"""

from collections.abc import Iterator

from llm_tasks.pipeline.arm import COMPARED, Arm, Use
from llm_tasks.pipeline.task import EPOCH, Inputs, Row, llm_task
from prompts.notes import notes

TUNED = "note_embed/note"
"""Item vectors of an encoder that was tuned on what the same people choose, named `note` in knowflow.yaml."""
NOTELLM = Arm(
    "notellm",
    "NoteLLM's vectors of items, as similarity to the history (beside the catalogue's facts) and as text quality.",
    (Use("similarity", (COMPARED, TUNED)), Use("quality", (TUNED,))),
    facts={TUNED: COMPARED},
)


@llm_task(entity="item", prompt=None, lexical_space="item_facts", opt_in=True, own_data=True)
def note_embed(inputs: Inputs) -> Iterator[Row]:
    """Yield one row per item; the encoder itself adds the compression prompt around the note."""
    wanted = [item for item in inputs.dataset.items.iter_rows(named=True) if inputs.wanted(item["item"])]
    for item, text in notes(wanted, inputs.domain).items():
        yield Row(item, as_of=EPOCH, variables={"text": text})
