"""Distilled knowledge (SLIM): a small model learns to write what a large one knows of films; how much worth is kept?

Paper:  Wang et al. 2024, "Can Small Language Models be Good Reasoners for Sequential Recommendation?" (SLIM).
Run:    python benchmarks/distilled_knowledge.py [--model models/SmolLM2-135M-Instruct] [--out FOLDER] [--scale 1.0]
        [--short]
Reads:  examples/movielens: the recorded texts of a large model about 3,227 films.
Stages, each kept in FOLDER, so that a second call goes on after the last finished one:

learn   LoRA on the recorded texts about 2,400 films, from the model's own weights
write   `refresh` with the adapter merged into the model: texts about 800 other films that have a recorded one, and
        about the 6,515 films that have none; never about a film that it learned from
judge   `nightly` on three sets of texts: `recorded` (the large model's, about the 800), `distilled` (the small one's,
        about the same films), and `rest` (the small one's, about the 6,515); by the split and by rolling time

The last line printed is one JSON object: benchmarks/distilled_judging.py says what is under `judged` and `rest`.

What it does not show: the recorded texts may hold what the large model has memorised of MovieLens (docs/benchmarks.md,
"What these figures cannot show"), and the small model may have learned some of it, since what they say of one film is
also about its sequels, its director and its cast. So `kept` is a share of a gain that is itself optimistic.

Size: tried with 24 and 73 films on two busy cores, in float32 (bfloat16 was slower): it learns 140 tokens a CPU-second
(432,000 tokens a pass, two passes: 6,200 CPU-s) and writes a film in about 0.4 (2,900 CPU-s); the rest is three times
the training of `make demo`, eight minutes each. Together that is a little under two hours on two cores. Served as an
adapter instead of merged, the model took 5 CPU-s to write a film.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import torch
import yaml
from distilled_judging import judge_rest, judge_same, names_right
from small_model import Stages, arguments, ready

from app.config import Config, load_config
from app.live import WARN
from app.train_runs import TrainRun, get_run
from app.workplace import open_dataset, open_store
from base.progress import Progress
from cli.prefect_settings import keep_in
from feature_store.gate import GatesConfig
from feature_store.releases import get_release, released_texts
from flows.server import prefect_server
from prompts.domain import Domain, load_domain
from prompts.library import choose_prompt
from tuning.base import Base, find_base, merge
from tuning.config import StepConfig
from tuning.conversations import Conversation, digest
from tuning.losses import completion_loss
from tuning.measure import Measure
from tuning.mixture import Mixture
from tuning.packing import NOT_LEARNT, collate
from tuning.supervised import tokenise_all, tune

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "movielens"
TASK, PROMPT_VERSION = "kar_item", 1
LEARNT, JUDGED, WATCHED = 2_400, 800, 27
"""Films with a recorded text: learned from, written about, and those that only show how well the model learns."""
LEARN = StepConfig(
    epochs=2, learning_rate=1e-3, rank=32, alpha=64, row_tokens=512, batch_rows=4, rows_at_once=1, save_every=20
)
ENGINE = {"enforce_eager": True, "kv_cache_bytes": 2 << 30, "in_flight": 128, "max_model_len": 1_024}
"""Compiling takes minutes, 2 GiB hold about 100 films at once, and a kill loses no more than 128."""
ARMS = ("base", "facts", "knowledge", "shuffled", "random")
TRIED = {"backbone": "lr", "seeds": [0, 1], "search": [], "rolling": [0.8]}
"""How to train with `--short`, where only the plumbing is tried."""


def measure(model: Path, out: Path, scale: float, short: bool) -> dict[str, Any]:
    """Run all stages that are not finished, and return the figures."""
    out = out.resolve()
    keep_in(out)
    stages, films = Stages(out), parts_of(scale, round(JUDGED * scale) if short else JUDGED)
    base, domain = find_base(model, {}), load_domain("films", EXAMPLE)
    with stages.timed("learn"):
        learnt = learn(base, films, domain, out / "adapter", stages.told("learn"))
        if not ready(out / "merged"):
            merge(base, out / "adapter", out / "merged")
    asked = films.filter(pl.col("part").is_in(["judged", "rest"]))
    texts = stages.table("texts", lambda: write(out / "merged", asked, out))
    sets = sets_of(films, texts)
    runs = {name: train(name, table, out, TRIED if short else {}) for name, table in sets.items()}
    events = open_dataset(load_config(out / "rest.yaml")).events
    with stages.timed("judge"):
        judged = judge_same(runs["distilled"], runs["recorded"], events, sets["distilled"]["item_id"].to_list())
        rest = judge_rest(runs["rest"], events, sets["rest"]["item_id"].to_list())
    results = {name: run.read("result") for name, run in runs.items()}
    return {
        "judged": judged,
        "rest": rest,
        "conclusions": {name: result["conclusion"] for name, result in results.items()},
        "texts": {**told_of(asked, texts), **names_right(sets["distilled"], sets["recorded"])},
        "learnt": {**learnt["learnt"], "held_out": learnt["held_out"]},
        "cpu_seconds": {**stages.seconds, **{name: spent(result) for name, result in results.items()}},
        "scale": scale,
        "short": short,
    }


def spent(result: Mapping[str, Any]) -> float:
    """Return the CPU-seconds of the processes that trained the arms."""
    return round(sum(arm["cpu_seconds"] for arm in result["training"].values()), 1)


def parts_of(scale: float, judged: int) -> pl.DataFrame:
    """Return all films that are used: item_id, input (as the prompt shows it), answer (None = none recorded), part."""
    shop = load_config(EXAMPLE / "knowflow.yaml")
    items, domain = open_dataset(shop).items, load_domain(shop.domain, shop.folder)
    described = [domain.item_description(item) for item in items.iter_rows(named=True)]
    recorded = pl.read_parquet(EXAMPLE / "recorded" / "items.parquet", columns=["item_id", "answer"])
    recorded = recorded.cast({"item_id": pl.String}).sample(fraction=1, shuffle=True, seed=0)
    films = pl.DataFrame({"item_id": items["item"], "input": described}).join(recorded, on="item_id", how="anti")
    inputs = dict(zip(items["item"], described, strict=True))
    known = recorded.with_columns(input=pl.col("item_id").replace_strict(inputs))
    learnt = round(LEARNT * scale)
    parts = {"learnt": known.head(learnt), "judged": known[LEARNT : LEARNT + judged], "watched": known.tail(WATCHED)}
    parts["rest"] = films.sample(fraction=scale, seed=0).with_columns(answer=pl.lit(None, pl.String))
    columns = ["item_id", "input", "answer"]
    return pl.concat(table.select(*columns, part=pl.lit(name)) for name, table in parts.items())


def learn(base: Base, films: pl.DataFrame, domain: Domain, out: Path, progress: Progress) -> Mapping[str, Any]:
    """Tune the adapter on the recorded texts; an interrupted tuning resumes."""
    learnt, watched = (conversations(films.filter(part=part), domain) for part in ("learnt", "watched"))
    mixture = mixture_of(learnt)
    return tune(base, mixture, LEARN, out, progress, resume=True, measured=by_loss(base, mixture_of(watched)))


def conversations(films: pl.DataFrame, domain: Domain) -> list[Conversation]:
    """Return each film's prompt with the recorded text as its answer."""
    prompt = choose_prompt(TASK, PROMPT_VERSION)
    return [
        (*prompt.render({"input": shown}, domain), {"role": "assistant", "content": answer})
        for shown, answer in films.select("input", "answer").iter_rows()
    ]


def mixture_of(rows: list[Conversation]) -> Mixture:
    """Return rows as they are learned, with a record of what they are; no event is among them."""
    return Mixture(rows, [TASK] * len(rows), [], {TASK: {"rows": len(rows), "of": len(rows), "digest": digest(rows)}})


def by_loss(base: Base, watched: Mixture) -> Measure:
    """Return a measure of a model: its mean loss per token of texts that it does not learn."""
    examples, _ = tokenise_all(base, watched, LEARN.row_tokens)

    @torch.inference_mode()
    def loss(model: Any, when: str) -> Mapping[str, Any]:
        training, total, tokens = model.training, 0.0, 0
        model.eval()
        for example in examples:
            batch = collate([[example]], base.pad)
            labels = batch.pop("labels")
            total += float(completion_loss(model(**batch).logits, labels, 1))
            tokens += int((labels[:, 1:] != NOT_LEARNT).sum())
        model.train(training)
        return {"rows": len(examples), "loss": round(total / tokens, 4)}

    return loss


def write(model: Path, films: pl.DataFrame, out: Path) -> pl.DataFrame:
    """Let the tuned model write about films, as a refresh does: item_id and answer; failed rows are left out."""
    films.select("item_id").write_parquet(out / "asked.parquet")
    config = write_config(
        out / "write.yaml",
        {"name": "vllm", "model": str(model), "options": ENGINE},
        {TASK: {"only": {"path": "asked.parquet", "column": "item_id"}, "encoders": []}},
    )
    from flows.refresh import refresh  # noqa: PLC0415 - Prefect reads its settings when it is imported

    with prefect_server(out):
        release = refresh(str(config.path))
    store = open_store(config)
    made = released_texts(store, get_release(store, release), TASK)
    return made.select(item_id="entity", answer="text")


def sets_of(films: pl.DataFrame, written: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the three sets of texts, item_id, input and answer; two are about the same films."""
    about = films.drop("answer").join(written, on="item_id", maintain_order="left")
    columns, distilled = (
        ["item_id", "input", "answer"],
        about.filter(part="judged").select("item_id", "input", "answer"),
    )
    recorded = distilled.drop("answer").join(films.select("item_id", "answer"), on="item_id", maintain_order="left")
    return {"recorded": recorded, "distilled": distilled, "rest": about.filter(part="rest").select(columns)}


def train(name: str, texts: pl.DataFrame, out: Path, training: Mapping[str, Any]) -> TrainRun:
    """Encode a set of texts and compare the arms on it, unless that is done."""
    texts.write_parquet(out / f"{name}.parquet")
    files = {f"{TASK}.v{PROMPT_VERSION}": f"{name}.parquet"}
    config = write_config(
        out / f"{name}.yaml",
        {"name": "recorded", "model": name, "knowledge_cutoff": "2026-11-01", "options": {"files": files}},
        {TASK: {"only": {"path": f"{name}.parquet", "column": "item_id"}}, "item_facts": {}},
        training,
    )
    from flows.nightly import nightly  # noqa: PLC0415 - Prefect reads its settings when it is imported

    with prefect_server(out):
        return get_run(config.home_folder, nightly(str(config.path), arms=list(ARMS))["train_run"])


def write_config(
    file: Path, engine: Mapping[str, Any], tasks: Mapping[str, Any], training: Mapping[str, Any] | None = None
) -> Config:
    """Write a knowflow.yaml with the example's data, and with a home of its own."""
    settings = yaml.safe_load((EXAMPLE / "knowflow.yaml").read_text(encoding="utf-8"))
    for name in ("queries", "rewrites"):
        settings.pop(name)
    for name in ("events", "items"):
        settings[name]["path"] = str(EXAMPLE / settings[name]["path"])
    settings |= {"home": f"{file.stem}-home", "engine": dict(engine), "tasks": dict(tasks)}
    settings |= {"train": dict(training or {}), "gates": {"warn": [*GatesConfig().warn, *WARN]}}
    file.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return load_config(file)


def told_of(asked: pl.DataFrame, written: pl.DataFrame) -> dict[str, Any]:
    """Count the texts: asked for, written, different ones, and their words."""
    words = written["answer"].str.split(" ").list.len()
    return {
        "asked": len(asked),
        "written": len(written),
        "different": written["answer"].n_unique(),
        "words": words.mean(),
    }


def main() -> None:
    """Read the command line, measure, and print the figures."""
    asked = arguments("distilled_knowledge", "share of the films to learn from, and of those without a recorded text")
    asked.add_argument("--short", action="store_true", help="write about fewer films, too, and train the arms briefly")
    given = asked.parse_args()
    print(json.dumps(measure(given.model, given.out, given.scale, given.short)))


if __name__ == "__main__":
    main()
