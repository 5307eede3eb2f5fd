"""Overhead of generation: our whole generation against bare `LLM.chat` with a list.

Run:   .venv/bin/python benchmarks/engine_overhead.py [--rows 5000] [--max-tokens 16 64] [--repetitions 3]
Same prompts, same model of half a million parameters, same settings of vLLM, greedy, one thread. Bare: the rendered
messages as one list into `LLM.chat`. Ours: read the data, plan, render, feed, parse, commit answers and lineage to
LanceDB. Each run is a separate process that has loaded the model and answered 32 other rows before its CPU time (all
threads) is measured; the two alternate. The texts of both are compared. The last line printed is one JSON object.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WARM = 32
Texts = Callable[[], list[str]]


def main() -> None:
    """Measure every length of answer, and print the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--max-tokens", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--side", choices=["bare", "ours"], help="measure one side in this process")
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    if chosen.side:
        side(chosen.side, chosen.folder, chosen.max_tokens[0])
        return
    with tempfile.TemporaryDirectory() as folder:
        found = {str(length): compare(Path(folder), chosen.rows, length, chosen.repetitions)
                 for length in chosen.max_tokens}  # fmt: skip
    first = found[str(chosen.max_tokens[0])]
    print(json.dumps({"rows": chosen.rows, **first, "by_max_tokens": found}))


def compare(folder: Path, rows: int, max_tokens: int, repetitions: int) -> dict:
    """Run both sides in turn, each in a separate process."""
    from tiny_model import make_model  # noqa: PLC0415 - only the runs need vLLM, only this the model
    from tiny_shop import make_shop  # noqa: PLC0415

    spent: dict[str, list[float]] = {"bare": [], "ours": []}
    texts: set[str] = set()
    model = make_model(folder / "model")
    for repetition in range(repetitions):
        for name in spent if repetition % 2 == 0 else reversed(spent):
            shop = folder / f"{name}-{max_tokens}-{repetition}"
            make_shop(shop / "measured", rows, model)
            make_shop(shop / "warm", WARM, model, first=rows)
            taken = run(name, shop, max_tokens)
            spent[name].append(taken["cpu_seconds"])
            texts.add(taken["texts"])
            print(f"{max_tokens:4d} tokens  {name}  {taken['cpu_seconds']:7.2f} s of CPU", flush=True)
    if len(texts) != 1:
        sys.exit("the two sides did not answer alike")
    bare, ours = (statistics.median(spent[name]) for name in ("bare", "ours"))
    return {
        "max_tokens": max_tokens,
        "bare_cpu_seconds": round(bare, 3),
        "ours_cpu_seconds": round(ours, 3),
        "ratio": round(ours / bare, 4),
        "all_bare": [round(value, 3) for value in spent["bare"]],
        "all_ours": [round(value, 3) for value in spent["ours"]],
    }


def run(name: str, folder: Path, max_tokens: int) -> dict:
    """Measure one side in a fresh process."""
    command = [sys.executable, __file__, "--side", name, "--folder", str(folder), "--max-tokens", str(max_tokens)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


def side(name: str, folder: Path, max_tokens: int) -> None:
    """Warm up, then measure; print CPU seconds and a hash of all texts."""
    from tiny_shop import answers_of  # noqa: PLC0415

    with answers_of(max_tokens):
        work = {"bare": bare, "ours": ours}[name]
        work(folder / "warm" / "knowflow.yaml", max_tokens)()
        measured = work(folder / "measured" / "knowflow.yaml", max_tokens)
        begun = time.process_time()
        read_texts = measured()
        spent = time.process_time() - begun
    digest = hashlib.sha256("\0".join(sorted(read_texts())).encode()).hexdigest()
    print(json.dumps({"cpu_seconds": spent, "texts": digest}))


def bare(config: Path, max_tokens: int) -> Callable[[], Texts]:
    """Run `LLM.chat` with a list of the same messages that we would send."""
    from tiny_shop import TASK, open_shop, short_prompt  # noqa: PLC0415
    from vllm import SamplingParams  # noqa: PLC0415

    from llm_tasks.pipeline.catalogue import choose_tasks  # noqa: PLC0415

    place, prompt = open_shop(config), short_prompt(max_tokens)
    llm = place.engine._load().llm  # type: ignore[attr-defined]
    rows = choose_tasks([TASK])[0].rows(place.inputs_of(choose_tasks([TASK])[0]))
    messages = [prompt.render(row.variables, place.domain) for row in rows]
    params = SamplingParams(temperature=0.0, max_tokens=max_tokens)

    def chat() -> Texts:
        outputs = llm.chat(messages, params, use_tqdm=False)
        return lambda: [output.outputs[0].text for output in outputs]

    return chat


def ours(config: Path, max_tokens: int) -> Callable[[], Texts]:
    """Run our whole generation."""
    from tiny_shop import open_shop, refresh_answers  # noqa: PLC0415

    from feature_store.answers import known_answers, read_answers  # noqa: PLC0415

    def generate() -> Texts:
        done = refresh_answers(config)
        assert done.answered == done.calls == done.rows, done
        store = open_shop(config).store
        return read_answers(store, known_answers(store))["text"].to_list

    return generate


if __name__ == "__main__":
    main()
