"""knowflow tune: tune a language model on the shop's own events and on instructions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from app.config import load_config
from app.progress import progress
from app.workplace import open_dataset, open_domain
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, bars, print_json, print_line, print_table, say
from engines.model_folder import fingerprint
from tuning.config import TuningConfig
from tuning.mixture import mix
from tuning.workfolder import TuningFault

DEFAULTS = TuningConfig()


def tune(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    model: Annotated[Path, Parameter(help="Folder of the model, as save_pretrained wrote it.")],
    out: Annotated[Path, Parameter(help="Folder of the tuned model or adapter; a new one.")],
    instructions: Annotated[
        Path | None, Parameter(help="JSONL file of general instructions, one {messages: [...]} a line.")
    ] = None,
    merged: Annotated[
        Path | None, Parameter(help="Also write the model with the adapter merged in, to this new folder.")
    ] = None,
    resume: Annotated[bool, Parameter(negative="", help="Go on with a tuning that was stopped.")] = False,
    settings: Annotated[TuningConfig, Parameter(name="*")] = DEFAULTS,
    json: AsJson = False,
) -> int:
    """Tune a model on recommendation rows and general instructions, half and half.

    Recommendation rows come from training events alone. `--share 0` learns the instructions alone. Killed at any
    moment, it goes on from its last checkpoint: add --resume.

    Example: knowflow tune --model models/Qwen3-0.6B --instructions instructions.jsonl --out adapters/recgen
    """
    shop = load_config(config)
    if merged is not None and settings.method == "full":
        raise TuningFault("--merged: a model that is tuned whole has no adapter to merge\n  leave it out")
    if merged is not None and merged.exists():
        raise TuningFault(f"--merged: {merged} is there already\n  name a new folder")
    mixture = mix(
        open_dataset(shop),
        open_domain(shop),
        settings,
        instructions,
        shop.skip_bad_rows,
    )
    from tuning.base import find_base, merge  # noqa: PLC0415 - takes seconds; wrong input is told before
    from tuning.supervised import tune as tune_model  # noqa: PLC0415

    base = find_base(model, shop.engine.options.get("template", {}) if shop.engine.name == "vllm" else {})
    with bars():
        result = tune_model(base, mixture, settings, out, progress(), resume=resume)
    if merged is not None:
        merge(base, out, merged)
    revision = fingerprint(out.resolve())
    if json:
        print_json({"out": str(out.resolve()), "revision": revision, **result})
        return 0
    print_result(result, out, revision)
    return 0


def print_result(result: Mapping[str, Any], out: Path, revision: str) -> None:
    """Print what was learnt, what came of it, and how to use it."""
    method, learnt, measured = result["settings"]["method"], result["learnt"], result["held_out"]
    rows = [[kind, facts["rows"], facts["of"]] for kind, facts in result["data"].items()]
    print_table(f"tuned {result['base']['name']} ({method})", ["learnt from", "rows", "of"], rows)
    for why, count in learnt["left_out"].items():
        say(f"  left out {count:,} rows of {why}")
    print_line(
        f"{learnt['tokens']:,} tokens, of them {learnt['answer_tokens']:,} of answers, which are what is learnt; "
        f"{learnt['steps']:,} steps"
    )
    if measured:
        before, after = measured["before"], measured["after"]
        print_line(
            f"{after['rows']:,} held-out rows: loss of the true answer {before['loss']:.3f} before, "
            f"{after['loss']:.3f} after; AUC {_number(before['auc'])} before, {_number(after['auc'])} after"
        )
    print_line(f"{'adapter' if method == 'lora' else 'model'} {out}, revision {revision}")
    if method == "lora":
        say(
            f"next: name it in knowflow.yaml: tasks: {{TASK: {{adapter: {{name: {out.name}, path: {out.resolve()}}}}}}}"
        )
    else:
        say(f"next: name it in knowflow.yaml: engine: {{name: vllm, model: {out.resolve()}}}")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
