"""Tune an encoder of items on what the same people choose: NoteLLM, or a linear map after a frozen encoder.

Paper:     Zhang et al. 2024, "NoteLLM: A Retrievable Large Language Model for Note Recommendation" (arXiv 2403.01744).
Idea:      items that people go on to from one another get near vectors, also items that nobody has chosen yet.
Formula:   L = (L_cl + alpha L_gen) / (1 + alpha), both in `losses.py`.
Consumes:  pairs of training events, texts of items, and texts of a technique about items (`--knowledge`).
Produces:  a folder of sentence-transformers, and knowflow_tuning.json: what it saw, until when, and what came of it.
Cost:      projection: one forward of every note, then seconds; lora and full: two or three forwards of a note a step.
Relations: note_embed encodes with it; `knowflow eval similar` measures it. sft teaches a model to answer instead.
Example:   knowflow tune encoder --out encoders/note
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from base.faults import WrongUse
from engines.model_folder import minilm_folder
from tuning.config import ContrastiveConfig
from tuning.inputs import RecipeInputs
from tuning.note_pairs import share_of
from tuning.recipe import Job, Line, Made, Note, Recipe, Shown, Table

MINILM = "all-MiniLM-L6-v2"


class EncoderOptions(ContrastiveConfig):
    """Options of `knowflow tune encoder`."""

    until: datetime | None = Field(default=None, exclude=True)  # the plan says the digest of what is learnt
    """Learn from events and texts strictly before this moment (UTC) alone, 2018-01-31T12:00."""
    hold_out: float = Field(default=0.0, ge=0, lt=1, exclude=True)
    """Share of the items that are not learnt, on which the encoder can be judged."""
    knowledge: str | None = Field(default=None, exclude=True)
    """A technique about items whose texts stand in the notes too, such as kar_item."""
    show_fields: bool = Field(default=True, exclude=True)
    """Notes show an item's fields; without, a language model learns to find them out."""


def prepare(inputs: RecipeInputs, model: str, options: EncoderOptions) -> Job:
    """Count pairs, write notes, and find the model."""
    base = _folder_of(model)
    items = inputs.items()["item"]
    held = share_of(items, options.hold_out, f"held out/{options.seed}")
    until = options.until and options.until.replace(tzinfo=options.until.tzinfo or UTC)
    counted = inputs.pairs(items=set(items) - set(held), until=until)
    if counted.pairs.is_empty():
        raise WrongUse("there is no pair to learn from\n  give a later --until, a smaller --hold-out, or more events")
    notes = inputs.notes(knowledge=options.knowledge, show_fields=options.show_fields, until=until)
    from tuning.contrastive import encoder_job  # noqa: PLC0415 - takes seconds; wrong input is reported before

    return encoder_job(
        base,
        notes.texts,
        counted.pairs,
        options,
        inputs.progress,
        held_out=held,
        labels=notes.labels,
        field=notes.field,
        domain=inputs.domain(),
    )


def _folder_of(model: str) -> Path:
    """Find the model.

    Raises:
        WrongUse: Its folder holds none.
    """
    base = minilm_folder() if model == MINILM else Path(model).expanduser()
    if not (base / "config.json").is_file():
        raise WrongUse(f"--model: {base} holds no config.json\n  name the folder of a model, or {MINILM}")
    return base


def show(made: Made[EncoderOptions]) -> Iterator[Shown]:
    """What was learnt, what came of it, and how to use it."""
    result = made.result
    settings, figures, data = result["settings"], result["figures"], result["data"]
    loss, validation = figures["loss"], figures["validation"]
    yield Line(f"tuned {result['base']['name']} ({settings['method']}), {figures['steps']:,} steps")
    yield Line(
        f"{data['pairs']:,} pairs learnt; {len(result['train_items']):,} items, {len(result['held_out_items']):,} more "
        f"held out; events seen until {result.get('seen_until')}"
    )
    yield Line(f"loss {loss['first']['joint']:.3f} at first, {loss['last']['joint']:.3f} at last")
    if validation["after"]:
        title = f"{validation['pairs']:,} pairs from {validation['sources']:,} items that were not learnt"
        before, after = validation["before"], validation["after"]
        rows = [[name, f"{before[name]:.3f}", f"{after[name]:.3f}"] for name in after]
        yield Table(title, ["measure", "before", "after"], rows)
    if figures["written"]:
        yield _written(figures["written"])
    if loss["last"]["generative"] is None:
        yield Note("nothing was generated: that takes a language model, --method lora or full, and --no-show-fields")
    else:
        first, last = loss["first"]["generative"], loss["last"]["generative"]
        yield Note(f"generated text: loss {first:.3f} a token at first, {last:.3f} at last")
    yield Line(f"encoder {made.out}, revision {made.revision}")
    use = f"kind: dense, model: {made.out.resolve()}, pooling: {result['pooling']}"
    yield Note(f"next: name it in knowflow.yaml: encoders: {{note: {{{use}}}}}")


def _written(written: Mapping[str, Any]) -> Table:
    """How good the generated categories and hashtags are, before and after, beside the most common ones."""
    arms = ("most_common", "before", "after")
    asked = " and ".join(f"{task} of {figures['count']:,}" for task, figures in written["after"].items())
    rows = [
        [f"{task}: {name}", *(f"{written[arm][task][name]:.3f}" for arm in arms)]
        for task, figures in written["after"].items()
        for name in figures
        if name != "count"
    ]
    title = f"written about {written['items']:,} items that were not learnt ({asked})"
    return Table(title, ["measure", *(arm.replace("_", " ") for arm in arms)], rows)


ENCODER = Recipe(
    name="encoder",
    summary="Tune an encoder of items on what the same people choose, for similar items, search and ranking.",
    options=EncoderOptions,
    learns_from=("pairs", "notes"),
    loss="contrastive loss of pairs of notes, and cross-entropy of generated categories and hashtags",
    exports="a folder of sentence-transformers",
    prepare=prepare,
    model=MINILM,
    example="knowflow tune encoder --out encoders/note",
    show=show,
)
