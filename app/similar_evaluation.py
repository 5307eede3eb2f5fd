"""What item vectors are worth for finding what people go on to: every arm on held-out items, also with a prior."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from app.config import Config
from app.workplace import open_dataset, open_domain, open_store
from base.faults import WrongUse
from base.progress import Progress
from engines.model_folder import minilm_folder
from evals.by_user import REPLICATES
from evals.similar import AT, by_k, choose_pairs, evaluate_setting, recalls
from evals.similar import HEADLINE as HEADLINE_K
from evals.similar_arms import FROZEN, HEADLINE, TUNED, Pool, counted_arms, divide, popularity_of, tasks_of, vector_arms
from feature_store.lineage import TEXTS, newest_texts, read_lineage
from prompts.notes import notes
from sources.tables import Dataset
from tuning.config import ContrastiveConfig
from tuning.note_pairs import note_pairs, share_of, training_pairs
from tuning.workfolder import RESULT, read_json

HELD_OUT = 0.5
"""Share of the items that are not learnt."""
KNOWLEDGE = "kar_item"
SETTINGS = ContrastiveConfig(
    dimension=128, learning_rate=1e-3, tau=2.0, tau_rate=0.0, debias=0.0, epochs=3, validation=0.0
)
"""How the encoder is tuned when none is named (docs/explanation/notellm.md says how it was chosen)."""
TARGETS, LEAST = 50, 0.003
"""Pairs of each item that are learnt, and the lowest score of one: a small log has few that reach the published ten at
0.01. What is to be found stays as published."""


def evaluate_similar(
    config: Config,
    encoder: Path | None,
    progress: Progress,
    at: Sequence[int] = AT,
    headline: int = HEADLINE_K,
) -> dict[str, Any]:
    """Measure all arms; tune an encoder first when none is there.

    Args:
        config: The config.
        encoder: Folder of a tuned encoder; `encoders/note` of the home folder when left out, tuned when missing.
        progress: Told what is done.
        at: Lengths of the list.
        headline: The one of them whose figures stand on top.

    Returns:
        Plain JSON: `frozen`, `tuned` (recall@100 on held-out items), `gain`, `prior_gain`, `arms`, `settings` and more.

    Raises:
        WrongUse: There are no answers about items, or the folder holds no encoder that held items out, or one that
            has seen events which do not train.
    """
    dataset = open_dataset(config)
    pool = open_pool(config, dataset)
    folder = encoder or config.home_folder / "encoders" / "note"
    if encoder is None and not (folder / RESULT).is_file():
        tune(config, dataset, pool, folder, progress)
    said = tuned_facts(folder)
    check_seen(folder, said, pool)
    division = divide(pool, said["held_out_items"])
    if not division.tests.any():
        raise WrongUse(f"--encoder {folder}: it held no item out\n  tune one: knowflow tune encoder --hold-out 0.4")
    popularity = popularity_of(pool)
    arms = counted_arms(pool, popularity) | vector_arms(pool, folder, progress)
    settings: dict[str, Any] = {}
    tasks = tasks_of(pool, division)
    for done, (name, (pairs, validation)) in enumerate(tasks.items()):
        progress("comparing", done, len(tasks))
        settings[name] = evaluate_setting(arms, popularity, pairs, validation, FROZEN, TUNED, at, headline)
    progress("comparing", len(tasks), len(tasks))
    main, strict = ({"gain": one["gain"], "prior_gain": one["prior_gain"]} | _headline(one, headline)
                    for one in (settings[HEADLINE], settings["disjoint"]))  # fmt: skip
    every = np.ones(len(pool.items), dtype=bool)
    whole = choose_pairs(note_pairs(pool.events), pool.items, every, every)
    return {
        **main,
        "headline": {
            "setting": HEADLINE,
            "metric": f"recall@{headline}",
            "k": headline,
            "frozen": FROZEN,
            "tuned": TUNED,
        },
        "disjoint": strict,
        "arms": settings[HEADLINE]["arms"],
        "settings": settings,
        "all_items": {name: by_k(recalls(arms[name], whole, at), at) for name in ("popularity", FROZEN, "knowledge")},
        "encoder": {"folder": str(folder), "seen_until": said["seen_until"], "settings": said.get("settings")},
        "items": {
            "pool": len(pool.items),
            "tested": int(division.tests.sum()),
            "validated": int(division.validates.sum()),
        },
        "bootstrap": {"unit": "users", "replicates": REPLICATES, "seed": 0},
    }


def _headline(one: Mapping[str, Any], k: int) -> dict[str, Any]:
    """Recall of the frozen and of the tuned arm in one setting."""
    return {"frozen": one["arms"][FROZEN]["recall"][str(k)], "tuned": one["arms"][TUNED]["recall"][str(k)]}


def open_pool(config: Config, dataset: Dataset) -> Pool:
    """The items with a model's answer, and the liked events with them.

    Raises:
        WrongUse: There is no answer yet.
    """
    known = newest_texts(read_lineage(open_store(config), [KNOWLEDGE], TEXTS))
    items = sorted(set(known) & set(dataset.items["item"]))
    if not items:
        raise WrongUse(
            f"there are no answers of {KNOWLEDGE} to compare with\n  make some: knowflow refresh --task {KNOWLEDGE}"
        )
    text = notes(dataset.items.to_dicts(), open_domain(config))
    events = dataset.events.filter((pl.col("label") == 1) & pl.col("item").is_in(pl.Series(items).implode()))
    return Pool(items, [text[item] for item in items], [known[item] for item in items], events)


def tune(config: Config, dataset: Dataset, pool: Pool, folder: Path, progress: Progress) -> None:
    """Tune all-MiniLM-L6-v2 on the pairs of training events between items that are not held out."""
    from tuning.contrastive import tune_encoder  # noqa: PLC0415 - takes seconds, and few need it

    held_out = share_of(pool.items, HELD_OUT, "held out/0")
    learnt = set(pool.items) - set(held_out)
    counted = training_pairs(dataset, items=learnt, low=LEAST, top=TARGETS)
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
        WrongUse: It was not tuned on notes.
    """
    said = read_json(folder / RESULT) if (folder / RESULT).is_file() else {}
    if said.get("kind") != "notellm":
        raise WrongUse(
            f"--encoder {folder}: it holds no tuned encoder\n  tune one: knowflow tune encoder --out {folder}"
        )
    return said


def check_seen(folder: Path, said: Mapping[str, Any], pool: Pool) -> None:
    """See that an encoder knows no more than what trains.

    Raises:
        WrongUse: It has seen an event that is newer than all that train, or does not say what it has seen.
    """
    trains = pool.events.filter(pl.col("part") == "train")["time"].max()
    seen = said.get("seen_until")
    fix = f"  tune one on what trains: knowflow tune encoder --hold-out {HELD_OUT:g} --out FOLDER"
    if "seen_until" not in said:
        raise WrongUse(f"--encoder {folder}: it does not say until when it has seen events\n{fix}")
    if seen is not None and (trains is None or datetime.fromisoformat(seen) > trains):  # pyright: ignore[reportOperatorIssue]
        raise WrongUse(
            f"--encoder {folder}: it has seen events until {seen}, the newest that trains is of {trains}\n"
            f"  it may have learnt what it would be asked about\n{fix}"
        )
