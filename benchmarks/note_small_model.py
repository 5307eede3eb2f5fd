"""NoteLLM on a pretrained decoder: does a small language model, when tuned, find what people choose next?

Paper:  Zhang et al. 2024, "NoteLLM: A Retrievable Large Language Model for Note Recommendation" (arXiv 2403.01744).
Run:    python benchmarks/note_small_model.py [--model models/SmolLM2-135M-Instruct] [--out FOLDER] [--scale 1.0]
        [--films 1.0]
Reads:  examples/movielens: the recorded texts about 3,227 films, their genres, and the liked events.

The model compresses a note (title and recorded text, without genres) into one word, whose state is the film's vector,
and writes the film's genres after it. LoRA learns both at once, from pairs of training events between half of the
films; a second call resumes. The arms that rank the films:

tuned         the tuned model
untuned       the same model before: the same prompt, the same state
minilm        all-MiniLM-L6-v2 with a tuned projection, on the same notes and all pairs
minilm facts  the same on title and genres, which is what `knowflow eval similar` tunes
popularity    liked training events

The settings are those of `knowflow eval similar`: in `held-out queries` the query was not learned, in `disjoint` (the
strict one) neither was any film that may be found. The last line printed is one JSON object: `recall` by setting and
arm, each with and without a popularity prior, and `gains`, those of `tuned` over every other arm at 100 results, with
intervals over users; `prior_gain` is that of `tuned` with the prior over popularity alone.

What it does not show: the recorded texts may hold what a large model has memorised of MovieLens; all arms but `minilm
facts` and `popularity` read them.

Size: at 140 learned and about three times as many encoded tokens a CPU-second (measured on two busy cores; see
distilled_knowledge.py), 48 steps of 128 notes of about 170 tokens take some 9,000 CPU-s and the vectors of all films,
before and after, some 2,600: reckoned, not measured, under two hours on two cores.
"""

import json
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from small_model import Stages, arguments
from torch.nn.functional import normalize

from app.config import load_config
from app.similar_evaluation import HELD_OUT, LEAST, SETTINGS, TARGETS
from app.workplace import open_dataset
from base.progress import Progress
from encoders.dense import DenseEncoder
from engines.model_folder import minilm_folder
from evals.similar import AT, HEADLINE, Score, cosine, evaluate_setting
from evals.similar_arms import TUNED, Pool, counted_arms, divide, popularity_of, tasks_of
from prompts.domain import Domain, load_domain
from prompts.notes import compression, labels_of, notes
from sources.tables import Dataset
from tuning.config import ContrastiveConfig
from tuning.contrastive import tune_encoder
from tuning.contrastive_steps import encode_prompts
from tuning.note_model import load_note_model
from tuning.note_pairs import share_of, training_pairs

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "movielens"
FIELD, PAIRS = "genres", 3_072
"""What is written after a note, and how many pairs the language model learns."""
TUNING = ContrastiveConfig(
    method="lora",
    dimension=128,
    learning_rate=2e-4,
    epochs=1,
    batch_pairs=64,
    notes_at_once=16,
    tau_rate=0.0,
    debias=0.0,
    validation=0.0,
    written=100,
    save_every=5,
)


def measure(model: Path, out: Path, scale: float, films: float) -> dict[str, Any]:
    """Tune both encoders unless that is done, and measure every arm in every setting."""
    begun = time.process_time()
    shop = load_config(EXAMPLE / "knowflow.yaml")
    dataset, domain = open_dataset(shop), load_domain(shop.domain, shop.folder)
    pool, knowing, labels = pool_of(dataset, domain, films)
    held = share_of(pool.items, HELD_OUT, "held out/0")
    counted = training_pairs(dataset, items=set(pool.items) - set(held), low=LEAST, top=TARGETS)
    few = counted.pairs.sample(min(len(counted.pairs), round(PAIRS * scale)), seed=0)
    stages = Stages(out)
    told = stages.told("notes")
    learnt = tune_encoder(
        model,
        knowing,
        few,
        TUNING,
        out / "tuned",
        told,
        seen_until=counted.seen_until,
        held_out=held,
        labels=labels,
        field=FIELD,
        domain=domain,
        resume=True,
    )
    facts = dict(zip(pool.items, pool.facts, strict=True))
    for name, texts in (("minilm", knowing), ("minilm facts", facts)):
        folder, seen = out / name.replace(" ", "-"), counted.seen_until
        tune_encoder(
            minilm_folder(), texts, counted.pairs, SETTINGS, folder, told, seen_until=seen, held_out=held, resume=True
        )
    texts = [knowing[item] for item in pool.items]
    vectors = {
        TUNED: DenseEncoder(str(out / "tuned"), "last_token", 256, 16).encode(texts, told),
        "untuned": untuned(model, texts, domain, told),
        "minilm": DenseEncoder(str(out / "minilm"), "mean", 256, 32).encode(texts, told),
        "minilm facts": DenseEncoder(str(out / "minilm-facts"), "mean", 256, 32).encode(pool.facts, told),
    }
    return {
        **evaluate(pool, held, {name: cosine(one) for name, one in vectors.items()}),
        "learnt": {"pairs": len(few), "of": len(counted.pairs), **learnt["figures"]},
        "items": {"pool": len(pool.items), "held_out": len(held)},
        "cpu_seconds": round(time.process_time() - begun),
        "scale": scale,
        "films": films,
    }


def pool_of(dataset: Dataset, domain: Domain, share: float) -> tuple[Pool, dict[str, str], Mapping[str, Any]]:
    """Return the films with a recorded text; their notes that show it, without genres; and their genres to write."""
    recorded = pl.read_parquet(EXAMPLE / "recorded" / "items.parquet").cast({"item_id": pl.String})
    contents = dict(recorded.select("item_id", "answer").iter_rows())
    items = sorted(share_of(contents, share, "scale") if share < 1 else contents)
    rows = [row for row in dataset.items.to_dicts() if row["item"] in set(items)]
    facts = notes(rows, domain)
    events = dataset.events.filter((pl.col("label") == 1) & pl.col("item").is_in(pl.Series(items).implode()))
    pool = Pool(items, [facts[item] for item in items], [contents[item] for item in items], events)
    return pool, notes(rows, domain, contents, show_fields=False), labels_of(rows, FIELD)


def untuned(model: Path, texts: list[str], domain: Domain, progress: Progress) -> np.ndarray:
    """Encode notes with the model as it is: the state that the compressed word is read from."""
    plain = load_note_model(model, compression(domain), TUNING)
    states = encode_prompts(plain, [plain.prompt(text) for text in texts], 16, progress)
    return normalize(states, dim=1).numpy()


def evaluate(pool: Pool, held: Collection[str], vectors: Mapping[str, Score]) -> dict[str, Any]:
    """Measure the recall of every arm in every setting, and the gains of the tuned one, with intervals."""
    popularity = popularity_of(pool)
    arms = {"popularity": counted_arms(pool, popularity)["popularity"], **vectors}
    recall: dict[str, Any] = {}
    gains: dict[str, Any] = {}
    for setting, (pairs, validation) in tasks_of(pool, divide(pool, held)).items():
        gains[setting] = {}
        for control in (name for name in arms if name != TUNED):
            one = evaluate_setting(arms, popularity, pairs, validation, control, TUNED, AT, HEADLINE)
            gains[setting][control] = one["gain"]
            recall[setting] = {name: of["recall"] for name, of in one["arms"].items()}
            gains[setting]["prior_gain"] = one["prior_gain"]
            gains[setting]["queries"] = one["queries"]
    return {"recall": recall, "gains": gains}


def main() -> None:
    """Read the command line, measure, and print the figures."""
    asked = arguments("note_small_model", "share of the pairs that the language model learns")
    asked.add_argument("--films", type=float, default=1.0, help="share of the films")
    given = asked.parse_args()
    print(json.dumps(measure(given.model, given.out, given.scale, given.films)))


if __name__ == "__main__":
    main()
