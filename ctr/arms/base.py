"""What any arm is compared with: nothing but the share of clicks, and the backbone alone."""

from llm_tasks.pipeline.arm import Arm

CONSTANT = Arm(
    "constant",
    "The share of clicks among the training rows, the same for every row: what any model must beat.",
    learns=False,
)
BASE = Arm("base", "The backbone alone: ids, categories, history, leak-free statistics; no text at all.")
