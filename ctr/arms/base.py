"""The baselines of all arms: the share of clicks, and the backbone alone."""

from llm_tasks.pipeline.arm import Arm

CONSTANT = Arm(
    "constant",
    "The share of clicks among the training rows, the same for every row: the baseline of any model.",
    learns=False,
)
BASE = Arm("base", "The backbone alone: ids, categories, history, leak-free statistics; no text at all.")
