"""What item vectors are worth for finding what people go on to: every arm on held-out items, also with a prior."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from evals.similar import Score, by_k, by_lift, choose_pairs, cosine, evaluate_setting, recalls
from feature_store.lineage import TEXTS, newest_texts, read_lineage
from flows.config import Config
from flows.workplace import open_dataset, open_store
from llm_tasks.encoders.dense import DenseEncoder
from llm_tasks.encoders.lexical import LexicalEncoder
from llm_tasks.encoders.minilm import minilm_folder
from llm_tasks.note_pairs import note_pairs, training_pairs
from llm_tasks.notes import notes
from llm_tasks.pipeline.workplace import OptionFault
from llm_tasks.tuning.contrastive_config import ContrastiveConfig, share_of
from llm_tasks.tuning.workfolder import RESULT, read_json
from prompts.domain import load_domain
from sources.progress import Progress
from sources.split import split
from sources.tables import Dataset

HELD_OUT, VALIDATES = 0.5, 0.2
"""Share of the items that are not learnt, and of these the share on which the weight of the prior is chosen."""
KNOWLEDGE = "kar_item"
FROZEN, TUNED = "facts", "tuned"
HEADLINE = "held-out queries"
"""The setting whose figures stand on top: the item that is asked about was never learnt, what is found may be."""
SETTINGS = ContrastiveConfig(
    dimension=128, learning_rate=1e-3, tau=2.0, tau_rate=0.0, debias=0.0, epochs=3, validation=0.0
)
"""How the encoder is tuned when none is named (docs/explanation/notellm.md says how it was chosen)."""
TARGETS, LEAST = 50, 0.003
"""Pairs of each item that are learnt, and the lowest score of one: a small log has few that reach the published ten at
0.01. What is to be found stays as published."""


@dataclass(frozen=True)
class Pool:
    """The N items among which is searched, and what is known of them."""

    items: Sequence[str]
    """[N] ids, sorted."""
    facts: Sequence[str]
    """[N] notes without a model's answer."""
    knowledge: Sequence[str]
    """[N] a model's answers."""
    events: pl.DataFrame
    """Liked events with these items: user, item, time and part."""


def evaluate_similar(config: Config, encoder: Path | None, progress: Progress) -> dict[str, Any]:
    """Measure all arms; tune an encoder first when none is there.

    Args:
        config: The config.
        encoder: Folder of a tuned encoder; `encoders/note` of the home folder when left out, tuned when missing.
        progress: Told what is done.

    Returns:
        Plain JSON: `frozen`, `tuned` (recall@100 on held-out items), `gain`, `prior_gain`, `arms`, `settings` and more.

    Raises:
        OptionFault: There are no answers about items, or the folder holds no encoder that held items out.
    """
    dataset = open_dataset(config)
    pool = open_pool(config, dataset)
    folder = encoder or config.home_folder / "encoders" / "note"
    if encoder is None and not (folder / RESULT).is_file():
        tune(config, dataset, pool, folder, progress)
    said = tuned_facts(folder)
    held_out = np.isin(np.array(pool.items), said["held_out_items"])
    validates = np.isin(np.array(pool.items), share_of(said["held_out_items"], VALIDATES, "weight of the prior"))
    tests, every = held_out & ~validates, np.ones(len(held_out), dtype=bool)
    if not tests.any():
        raise OptionFault(f"--encoder {folder}: it held no item out\n  tune one: knowflow tune-encoder --hold-out 0.4")
    popularity = popularity_of(pool)
    arms = arms_of(pool, folder, popularity, progress)
    relevant = {"as scored": note_pairs(pool.events), "by lift": lifted(pool.events)}
    later = note_pairs(pool.events.filter(pl.col("part") != "train"))
    settings: dict[str, Any] = {}
    known = ~tests  # what a weight is chosen on is none of what tests
    tasks = {
        HEADLINE: (relevant["as scored"], tests, every, validates, known),
        "disjoint": (relevant["as scored"], tests, tests, validates, known),
        "disjoint, by lift": (relevant["by lift"], tests, tests, validates, known),
        "held-out queries, by lift": (relevant["by lift"], tests, every, validates, known),
        "later events": (later, tests, every, validates, known),
    }
    for done, (name, (table, asked, found, asks, finds)) in enumerate(tasks.items()):
        progress("comparing", done, len(tasks))
        pairs, validation = (choose_pairs(table, pool.items, *ends) for ends in ((asked, found), (asks, finds)))
        settings[name] = evaluate_setting(arms, popularity, pairs, validation, FROZEN, TUNED)
    progress("comparing", len(tasks), len(tasks))
    main, strict = settings[HEADLINE], settings["disjoint"]
    whole = choose_pairs(relevant["as scored"], pool.items, every, every)
    return {
        "frozen": main["arms"][FROZEN]["recall"]["100"],
        "tuned": main["arms"][TUNED]["recall"]["100"],
        "gain": main["gain"],
        "prior_gain": main["prior_gain"],
        "headline": {"setting": HEADLINE, "metric": "recall@100", "frozen": FROZEN, "tuned": TUNED},
        "disjoint": {
            "frozen": strict["arms"][FROZEN]["recall"]["100"],
            "tuned": strict["arms"][TUNED]["recall"]["100"],
            "gain": strict["gain"],
            "prior_gain": strict["prior_gain"],
        },
        "arms": main["arms"],
        "settings": settings,
        "all_items": {name: by_k(recalls(arms[name], whole)) for name in ("popularity", FROZEN, "knowledge")},
        "encoder": {"folder": str(folder), "seen_until": said["seen_until"], "settings": said.get("settings")},
        "items": {"pool": len(pool.items), "tested": int(tests.sum()), "validated": int(validates.sum())},
    }


def open_pool(config: Config, dataset: Dataset) -> Pool:
    """The items with a model's answer, and the liked events with them.

    Raises:
        OptionFault: There is no answer yet.
    """
    known = newest_texts(read_lineage(open_store(config), [KNOWLEDGE], TEXTS))
    items = sorted(set(known) & set(dataset.items["item"]))
    if not items:
        raise OptionFault(
            f"there are no answers of {KNOWLEDGE} to compare with\n  make some: knowflow refresh --task {KNOWLEDGE}"
        )
    text = notes(dataset.items.to_dicts(), load_domain(config.domain, config.folder))
    events = dataset.events.with_columns(split(dataset.events, config.source.split)).filter(
        (pl.col("label") == 1) & pl.col("item").is_in(pl.Series(items).implode())
    )
    return Pool(items, [text[item] for item in items], [known[item] for item in items], events)


def tune(config: Config, dataset: Dataset, pool: Pool, folder: Path, progress: Progress) -> None:
    """Tune all-MiniLM-L6-v2 on the pairs of training events between items that are not held out."""
    from llm_tasks.tuning.contrastive import tune_encoder  # noqa: PLC0415 - takes seconds, and few need it

    held_out = share_of(pool.items, HELD_OUT, "held out/0")
    learnt = set(pool.items) - set(held_out)
    counted = training_pairs(dataset, config.source.split, items=learnt, low=LEAST, top=TARGETS)
    texts = dict(zip(pool.items, pool.facts, strict=True))
    tune_encoder(
        minilm_folder(),
        texts,
        counted.pairs,
        SETTINGS,
        folder,
        progress,
        seen_until=counted.seen_until,
        held_out=held_out,
        resume=True,
    )


def tuned_facts(folder: Path) -> Mapping[str, Any]:
    """What an encoder's folder says of its tuning.

    Raises:
        OptionFault: It was not tuned on notes.
    """
    said = read_json(folder / RESULT) if (folder / RESULT).is_file() else {}
    if said.get("kind") != "notellm":
        raise OptionFault(
            f"--encoder {folder}: it holds no tuned encoder\n  tune one: knowflow tune-encoder --out {folder}"
        )
    return said


def popularity_of(pool: Pool) -> np.ndarray:
    """Liked training events of each item: [N] float64."""
    counts = dict(pool.events.filter(pl.col("part") == "train")["item"].value_counts().iter_rows())
    return np.array([counts.get(item, 0) for item in pool.items], dtype=np.float64)


def lifted(events: pl.DataFrame) -> pl.DataFrame:
    """The pairs with the highest lift of each source."""
    every = note_pairs(events, low=0.0, high=float("inf"), top=events["item"].n_unique())
    items = events.group_by("user").agg(pl.col("item").n_unique())["item"]
    return by_lift(every, float((1 / items).mean()))  # pyright: ignore[reportArgumentType] - of floats


def arms_of(pool: Pool, folder: Path, popularity: np.ndarray, progress: Progress) -> dict[str, Score]:
    """Every arm by name; the frozen encoders are those of knowflow's defaults."""
    frozen = DenseEncoder("all-MiniLM-L6-v2", "mean", 256, 32)
    tuned = DenseEncoder(str(folder.resolve()), "mean", 256, 32)
    facts, knowledge = frozen.encode(pool.facts, progress), frozen.encode(pool.knowledge, progress)
    lexical = {name: lexical_of(texts) for name, texts in (("facts", pool.facts), ("knowledge", pool.knowledge))}
    chance = np.random.default_rng(0)
    together = np.zeros((len(pool.items), len(pool.items)), dtype=np.float32)
    place = {item: number for number, item in enumerate(pool.items)}
    seen = note_pairs(pool.events.filter(pl.col("part") == "train"))
    for source, target, score in seen.iter_rows():
        together[place[source], place[target]] = score
    return {
        "popularity": lambda query: np.tile(popularity, (len(query), 1)),
        "co-occurrence": lambda query: together[query],
        FROZEN: cosine(facts),
        "knowledge": cosine(knowledge),
        "lexical facts": cosine(lexical["facts"]),
        "lexical knowledge": cosine(lexical["knowledge"]),
        "shuffled": cosine(facts[chance.permutation(len(facts))]),
        "random": cosine(chance.standard_normal(facts.shape).astype(np.float32)),
        TUNED: cosine(tuned.encode(pool.facts, progress)),
    }


def lexical_of(texts: Sequence[str]) -> np.ndarray:
    """Lexical vectors fitted on the texts themselves: [N, d]."""
    return LexicalEncoder.fit(list(texts), 384).encode(list(texts), lambda *_: None)
