"""Evaluates how well item vectors find what people choose next: all arms on held-out items, also with a prior."""

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
"""Share of the items to hold out of the tuning."""
KNOWLEDGE = "kar_item"
SETTINGS = ContrastiveConfig(
    dimension=128, learning_rate=1e-3, tau=2.0, tau_rate=0.0, debias=0.0, epochs=3, validation=0.0
)
"""How to tune the encoder when none is given (docs/explanation/notellm.md says how this was chosen)."""
TARGETS, LEAST = 50, 0.003
"""Pairs per item to learn, and their lowest score: in a small log few items reach the published ten pairs at 0.01.
The pairs to find stay as published."""


def evaluate_similar(
    config: Config,
    encoder: Path | None,
    progress: Progress,
    at: Sequence[int] = AT,
    headline: int = HEADLINE_K,
) -> dict[str, Any]:
    """Measure all arms; tune an encoder first if there is none.

    Args:
        config: The config.
        encoder: Folder of a tuned encoder; None for `encoders/note` in the home folder, which is tuned if missing.
        progress: Called with the progress.
        at: Lengths of the list.
        headline: The length whose figures come first.

    Returns:
        Plain JSON: `frozen`, `tuned` (recall@100 on held-out items), `gain`, `prior_gain`, `arms`, `settings` and more.

    Raises:
        WrongUse: There are no answers about items; or the folder holds no encoder with held-out items, or one that
            has seen events later than the training events.
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
        raise WrongUse(
            f"--encoder {folder}: it was tuned without held-out items\n  tune one: knowflow tune encoder --hold-out 0.4"
        )
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
    """Return the recall of the frozen and the tuned arm in one setting."""
    return {"frozen": one["arms"][FROZEN]["recall"][str(k)], "tuned": one["arms"][TUNED]["recall"][str(k)]}


def open_pool(config: Config, dataset: Dataset) -> Pool:
    """Return the items with a model's answer, and their liked events.

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
    """Tune all-MiniLM-L6-v2 on pairs of training events between items that are not held out."""
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
    """Read the facts about the tuning from an encoder's folder.

    Raises:
        WrongUse: The encoder was not tuned on notes.
    """
    said = read_json(folder / RESULT) if (folder / RESULT).is_file() else {}
    if said.get("kind") != "notellm":
        raise WrongUse(f"--encoder {folder}: holds no tuned encoder\n  tune one: knowflow tune encoder --out {folder}")
    return said


def check_seen(folder: Path, said: Mapping[str, Any], pool: Pool) -> None:
    """Check that an encoder has seen only training events.

    Raises:
        WrongUse: It has seen an event newer than all training events, or has no `seen_until`.
    """
    trains = pool.events.filter(pl.col("part") == "train")["time"].max()
    seen = said.get("seen_until")
    fix = f"  tune one on training events: knowflow tune encoder --hold-out {HELD_OUT:g} --out FOLDER"
    if "seen_until" not in said:
        raise WrongUse(f"--encoder {folder}: has no seen_until, the time of the newest event it has seen\n{fix}")
    if seen is not None and (trains is None or datetime.fromisoformat(seen) > trains):  # pyright: ignore[reportOperatorIssue]
        raise WrongUse(
            f"--encoder {folder}: has seen events until {seen}, but the newest training event is of {trains}\n"
            f"  it may have learnt the answers of the test\n{fix}"
        )
