"""knowflow tune-encoder: tune an encoder of items on what the same people choose."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from app.config import Config, load_config
from app.progress import progress
from app.workplace import open_dataset, open_domain, open_store
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, bars, print_json, print_line, print_table, say
from engines.model_folder import fingerprint, minilm_folder
from feature_store.lineage import TEXTS, newest_texts, read_lineage
from llm_tasks.pipeline.catalogue import choose_tasks
from prompts.notes import labels_of, notes
from tuning.config import ContrastiveConfig
from tuning.note_pairs import share_of, training_pairs
from tuning.workfolder import TuningFault

DEFAULTS = ContrastiveConfig()
MINILM = "all-MiniLM-L6-v2"


def tune_encoder(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    out: Annotated[Path, Parameter(help="Folder of the tuned encoder; a new one.")],
    model: Annotated[
        str, Parameter(help="Folder of a sentence-transformers model or of a language model, or all-MiniLM-L6-v2.")
    ] = MINILM,
    until: Annotated[
        datetime | None, Parameter(help="Learn from events strictly before this moment (UTC) alone, 2018-01-31T12:00.")
    ] = None,
    hold_out: Annotated[
        float, Parameter(help="Share of the items that are not learnt, on which the encoder can be judged.")
    ] = 0.0,
    knowledge: Annotated[
        str | None, Parameter(help="A technique about items whose texts stand in the notes too, such as kar_item.")
    ] = None,
    show_fields: Annotated[
        bool, Parameter(help="Notes show an item's fields; without, a language model learns to find them out.")
    ] = True,
    resume: Annotated[bool, Parameter(negative="", help="Go on with a tuning that was stopped.")] = False,
    settings: Annotated[ContrastiveConfig, Parameter(name="*")] = DEFAULTS,
    json: AsJson = False,
) -> int:
    """Tune an encoder so that items that people go on to from one another get near vectors.

    Pairs come from training events alone. Killed at any moment, it goes on from its last checkpoint: add --resume.

    Example: knowflow tune-encoder --out encoders/note
    """
    if not 0 <= hold_out < 1:
        raise TuningFault(f"--hold-out: should be a share from 0 to below 1, not {hold_out:g}")
    base = _folder_of(model)
    shop = load_config(config)
    dataset, domain = open_dataset(shop), open_domain(shop)
    rows = dataset.items.to_dicts()
    held = share_of(dataset.items["item"], hold_out, f"held out/{settings.seed}")
    counted = training_pairs(
        dataset,
        until=None if until is None else until.replace(tzinfo=until.tzinfo or UTC),
        items=set(dataset.items["item"]) - set(held),
    )
    if counted.pairs.is_empty():
        raise TuningFault(
            "there is no pair to learn from\n  give a later --until, a smaller --hold-out, or more events"
        )
    field = next(iter(dataset.category_fields), None)
    texts = notes(rows, domain, _texts_of(shop, knowledge), show_fields=show_fields)
    from tuning.contrastive import tune_encoder as tune  # noqa: PLC0415 - takes seconds; faults come before

    with bars():
        result = tune(
            base,
            texts,
            counted.pairs,
            settings,
            out,
            progress(),
            seen_until=counted.seen_until,
            held_out=held,
            labels=labels_of(rows, field) if field else None,
            field=field or "category",
            domain=domain,
            resume=resume,
        )
    revision = fingerprint(out.resolve())
    if json:
        print_json({"out": str(out.resolve()), "revision": revision, **result})
        return 0
    print_result(result, out, revision)
    return 0


def _folder_of(model: str) -> Path:
    """Find the model.

    Raises:
        TuningFault: Its folder holds none.
    """
    base = minilm_folder() if model == MINILM else Path(model).expanduser()
    if not (base / "config.json").is_file():
        raise TuningFault(f"--model: {base} holds no config.json\n  name the folder of a model, or {MINILM}")
    return base


def _texts_of(shop: Config, task: str | None) -> Mapping[str, str]:
    """Texts of a technique about items, from the store.

    Raises:
        TuningFault: It is about something else, or has no text yet.
    """
    if task is None:
        return {}
    if choose_tasks([task], shop.plugin_folders)[0].entity != "item":
        raise TuningFault(f"--knowledge: {task} is not about items\n  name one that is, such as kar_item")
    made = newest_texts(read_lineage(open_store(shop), [task], TEXTS))
    if not made:
        raise TuningFault(f"--knowledge: {task} has no text yet\n  make some: knowflow refresh --task {task}")
    return made


def print_result(result: Mapping[str, Any], out: Path, revision: str) -> None:
    """Print what was learnt, what came of it, and how to use it."""
    settings, figures, data = result["settings"], result["figures"], result["data"]
    loss, validation = figures["loss"], figures["validation"]
    print_line(f"tuned {result['base']['name']} ({settings['method']}), {figures['steps']:,} steps")
    print_line(
        f"{data['pairs']:,} pairs learnt; {len(result['train_items']):,} items, {len(result['held_out_items']):,} more "
        f"held out; events seen until {result['seen_until']}"
    )
    print_line(f"loss {loss['first']['joint']:.3f} at first, {loss['last']['joint']:.3f} at last")
    if validation["after"]:
        title = f"{validation['pairs']:,} pairs from {validation['sources']:,} items that were not learnt"
        before, after = validation["before"], validation["after"]
        print_table(title, ["measure", "before", "after"], [[k, f"{before[k]:.3f}", f"{after[k]:.3f}"] for k in after])
    if figures["written"]:
        print_written(figures["written"])
    if loss["last"]["generative"] is None:
        say("nothing was generated: that takes a language model, --method lora or full, and --no-show-fields")
    else:
        say(
            f"generated text: loss {loss['first']['generative']:.3f} a token at first, "
            f"{loss['last']['generative']:.3f} at last"
        )
    print_line(f"encoder {out}, revision {revision}")
    use = f"kind: dense, model: {out.resolve()}, pooling: {result['pooling']}"
    say(f"next: name it in knowflow.yaml: encoders: {{note: {{{use}}}}}")


def print_written(written: Mapping[str, Any]) -> None:
    """Print how good the generated categories and hashtags are, before and after, beside the most common ones."""
    arms = ("most_common", "before", "after")
    asked = " and ".join(f"{task} of {figures['count']:,}" for task, figures in written["after"].items())
    rows = [
        [f"{task}: {name}", *(f"{written[arm][task][name]:.3f}" for arm in arms)]
        for task, figures in written["after"].items()
        for name in figures
        if name != "count"
    ]
    title = f"written about {written['items']:,} items that were not learnt ({asked})"
    print_table(title, ["measure", *(arm.replace("_", " ") for arm in arms)], rows)
