"""Tune an encoder of items on what the same people choose: NoteLLM, or a linear map after a frozen encoder.

Paper:     Zhang et al. 2024, "NoteLLM: A Retrievable Large Language Model for Note Recommendation" (arXiv 2403.01744).
Idea:      items that people go on to from one another get similar vectors, even items that nobody has chosen yet.
Formula:   L = (L_cl + alpha L_gen) / (1 + alpha), both in `losses.py`.
Consumes:  pairs of training events, texts of items, and texts of a technique about items (`--knowledge`).
Produces:  a sentence-transformers folder, with knowflow_tuning.json: what it has seen, until when, and the results.
Cost:      projection: one forward pass per note, then seconds; lora and full: two or three per note and step.
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

    until: datetime | None = Field(default=None, exclude=True)  # the plan has the digest of what is learned
    """Learn only from events and texts strictly before this moment (UTC), such as 2018-01-31T12:00."""
    hold_out: float = Field(default=0.0, ge=0, lt=1, exclude=True)
    """Share of the items that are not learned, on which the encoder can be judged."""
    knowledge: str | None = Field(default=None, exclude=True)
    """A technique about items whose texts are added to the notes, such as kar_item."""
    show_fields: bool = Field(default=True, exclude=True)
    """Show an item's fields in its note; without them, a language model learns to infer them."""


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
    from tuning.contrastive import encoder_job  # noqa: PLC0415 - takes seconds; wrong input is reported first

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
        library=inputs.library,
    )


def _folder_of(model: str) -> Path:
    """Find the folder of the model.

    Raises:
        WrongUse: The folder has no model.
    """
    base = minilm_folder() if model == MINILM else Path(model).expanduser()
    if not (base / "config.json").is_file():
        raise WrongUse(f"--model: {base} has no config.json\n  set it to the folder of a model, or to {MINILM}")
    return base


def show(made: Made[EncoderOptions]) -> Iterator[Shown]:
    """Show what was learned, the results, and how to use the encoder."""
    result = made.result
    settings, figures, data = result["settings"], result["figures"], result["data"]
    loss, validation = figures["loss"], figures["validation"]
    yield Line(f"tuned {result['base']['name']} ({settings['method']}), {figures['steps']:,} steps")
    yield Line(
        f"{data['pairs']:,} pairs learned; {len(result['train_items']):,} items, "
        f"{len(result['held_out_items']):,} more held out; events seen until {result.get('seen_until')}"
    )
    yield Line(f"loss {loss['first']['joint']:.3f} at the start, {loss['last']['joint']:.3f} at the end")
    if validation["after"]:
        title = f"{validation['pairs']:,} pairs from {validation['sources']:,} items that were not learned"
        before, after = validation["before"], validation["after"]
        rows = [[name, f"{before[name]:.3f}", f"{after[name]:.3f}"] for name in after]
        yield Table(title, ["measure", "before", "after"], rows)
    if figures["written"]:
        yield _written(figures["written"])
    if loss["last"]["generative"] is None:
        yield Note("nothing was generated: that needs a language model, --method lora or full, and --no-show-fields")
    else:
        first, last = loss["first"]["generative"], loss["last"]["generative"]
        yield Note(f"generated text: loss per token {first:.3f} at the start, {last:.3f} at the end")
    yield Line(f"encoder {made.out}, revision {made.revision}")
    use = f"kind: dense, model: {made.out.resolve()}, pooling: {result['pooling']}"
    yield Note(f"next: add it to knowflow.yaml: encoders: {{note: {{{use}}}}}")


def _written(written: Mapping[str, Any]) -> Table:
    """Return a table of the quality of generated categories and hashtags, before and after, and of the most common."""
    arms = ("most_common", "before", "after")
    asked = " and ".join(f"{task} of {figures['count']:,}" for task, figures in written["after"].items())
    rows = [
        [f"{task}: {name}", *(f"{written[arm][task][name]:.3f}" for arm in arms)]
        for task, figures in written["after"].items()
        for name in figures
        if name != "count"
    ]
    title = f"written about {written['items']:,} items that were not learned ({asked})"
    return Table(title, ["measure", *(arm.replace("_", " ") for arm in arms)], rows)


ENCODER = Recipe(
    name="encoder",
    summary="Tune an encoder of items on what the same people choose, for similar items, search and ranking.",
    options=EncoderOptions,
    learns_from=("pairs", "notes"),
    loss="contrastive loss of pairs of notes, and cross-entropy of generated categories and hashtags",
    exports="a sentence-transformers folder",
    prepare=prepare,
    model=MINILM,
    example="knowflow tune encoder --out encoders/note",
    show=show,
)
