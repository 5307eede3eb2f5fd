"""Supervised tuning on the answers of conversations: RecGen, or any instructions.

Paper:     Sun et al. 2024, "Large Language Models Enhanced Collaborative Filtering" (LLM-CF), RecGen.
Idea:      a model that has learned who likes what reasons better about it; general instructions preserve reasoning.
Formula:   mean over all learned tokens of a step of -log P(token | the tokens before it in its own example).
Consumes:  training events (half of those that have a history) and a JSONL file of conversations, half and half.
Produces:  a LoRA adapter or a whole model, with knowflow_tuning.json, which records what it was tuned on.
Cost:      one pass by default; about 350 tokens per recommendation row, of which two or three are learned.
Relations: its adapter answers cot_examples; the answer key names it, so answers of other models are kept apart.
Example:   knowflow tune sft --model models/Qwen3-0.6B --instructions instructions.jsonl --out adapters/recgen
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from tuning.config import TuningConfig, check_merged
from tuning.inputs import RecipeInputs
from tuning.recipe import Job, Line, Made, Note, Recipe, Shown, Table


class SftOptions(TuningConfig):
    """Options of `knowflow tune sft`."""

    instructions: Path | None = Field(default=None, exclude=True)  # the plan has its digest
    """JSONL file of general instructions, one {messages: [...]} per line."""


def prepare(inputs: RecipeInputs, model: str, options: SftOptions) -> Job:
    """Mix the rows to learn, and find the model."""
    check_merged(options)
    mixture = inputs.mixture(options, options.instructions)
    from tuning.base import find_base, merging  # noqa: PLC0415 - takes seconds; wrong input is reported first
    from tuning.supervised import supervised_job  # noqa: PLC0415

    base = find_base(Path(model), inputs.template)
    return supervised_job(base, mixture, options, inputs.progress, finish=merging(base, options.merged))


def show(made: Made[SftOptions]) -> Iterator[Shown]:
    """Show what was learned, the results, and how to use the model."""
    result = made.result
    method, learnt, measured = result["settings"]["method"], result["learnt"], result["held_out"]
    rows = [[kind, facts["rows"], facts["of"]] for kind, facts in result["data"].items()]
    yield Table(f"tuned {result['base']['name']} ({method})", ["learned from", "rows", "of"], rows)
    for why, count in learnt["left_out"].items():
        yield Note(f"  left out {count:,} rows of {why}")
    yield Line(
        f"{learnt['tokens']:,} tokens, {learnt['answer_tokens']:,} of them in answers, which are learned; "
        f"{learnt['steps']:,} steps"
    )
    if measured:
        before, after = measured["before"], measured["after"]
        yield Line(
            f"{after['rows']:,} held-out rows: loss of the true answer {before['loss']:.3f} before, "
            f"{after['loss']:.3f} after; AUC {_number(before['auc'])} before, {_number(after['auc'])} after"
        )
    yield Line(f"{'adapter' if method == 'lora' else 'model'} {made.out}, revision {made.revision}")
    where = made.out.resolve()
    use = f"tasks: {{TASK: {{adapter: {{name: {made.out.name}, path: {where}}}}}}}"
    yield Note(
        f"next: add it to knowflow.yaml: {use if method == 'lora' else f'engine: {{name: vllm, model: {where}}}'}"
    )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


SFT = Recipe(
    name="sft",
    summary="Tune a language model on training events and on general instructions, half and half.",
    options=SftOptions,
    learns_from=("events", "instructions"),
    loss="cross-entropy of the answers' tokens",
    exports="a LoRA adapter, or with --method full a whole model",
    prepare=prepare,
    example="knowflow tune sft --model models/Qwen3-0.6B --instructions instructions.jsonl --out adapters/recgen",
    show=show,
)
