"""knowflow demo --live: a model on this machine answers about a part of the example, next to the recorded answers."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.config import load_config
from app.live import compare_live, difference_in_words, example_text, write_live_demo
from app.progress import progress
from app.train_runs import get_run
from base.faults import WrongUse
from cli.output import bars, print_json, print_line, say
from cli.prefect_settings import keep_in
from cli.train import print_arms
from engines.vllm.load import check_installed
from evals.conclusion import SUBJECT
from flows.server import prefect_server

FOLDER = Path("runs") / "demo-live"
MODEL = Path("models") / "SmolLM2-135M-Instruct"


def live_demo(
    example: Path, films: int, users: int, model: Path, arms: list[str] | None = None, *, json: bool = False
) -> int:
    """Run refresh, train and report twice, with recorded answers and with a model's own, and print both results.

    Args:
        example: The example's knowflow.yaml.
        films: Number of films to ask about.
        users: Number of users to ask about.
        model: Folder of the model.
        arms: Arms to train; None compares all.
        json: Print one JSON object instead of tables.

    Raises:
        WrongUse: The model is missing, `knowledge` is not among the arms, or there are not so many films or users.
        EngineFault: vLLM is not installed.
    """
    begun = time.monotonic()
    if not (model / "config.json").is_file():
        raise WrongUse(f"--model: there is no model in {model}\n  fetch one: knowflow models fetch smollm2")
    if arms is not None and SUBJECT not in arms:
        raise WrongUse(f"--arms: the live demo compares {SUBJECT}\n  add it, or leave out --arms")
    check_installed()
    made = write_live_demo(load_config(example), FOLDER.resolve(), films, users, model)
    configs = {"recorded": load_config(made.recorded), "live": load_config(made.live)}
    home = configs["live"].home_folder
    keep_in(home)
    from flows.nightly import nightly  # noqa: PLC0415 - Prefect reads its settings when it is imported

    say(f"asking the recorded answers, then {model.name}, about the same {films:,} films and {users:,} users")
    with prefect_server(home), bars():
        runs = {name: nightly(config=str(config.path), arms=arms) for name, config in configs.items()}
        trained = {name: run["train_run"] for name, run in runs.items()}
        found = compare_live(made, trained, progress())
    results = {name: get_run(config.home_folder, trained[name]).read("result") for name, config in configs.items()}
    seconds = round(time.monotonic() - begun)
    if json:
        told = {name: {**runs[name], **_in_short(result)} for name, result in results.items()}
        print_json({**told, "live_over_recorded": asdict(found), "seconds": seconds})
        return 0
    for name, of in (("recorded", "the recorded answers of a large model"), ("live", f"the answers of {model.name}")):
        print_line(f"\nwith {of}:")
        print_arms(results[name])
        title, text = example_text(configs[name], runs[name]["release"])
        print_line(f"{title}: {text}")
    print_line("\n" + difference_in_words(found, model.name))
    print_line(f"report   {runs['live']['report']}")
    say(f"done in {seconds:,} s")
    return 0


def _in_short(result: dict[str, Any]) -> dict[str, Any]:
    auc = {arm: metrics["all"]["auc"]["mean"] for arm, metrics in result["arms"].items()}
    gains = {of: gain["all"]["auc"] for of, gain in result["gains"].get(SUBJECT, {}).items()}
    return {"auc": auc, "gains": gains, "conclusion": result["conclusion"]}
