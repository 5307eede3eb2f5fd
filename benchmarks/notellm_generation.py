"""Tune a small model to compress films into a word and to write their genres: does it learn both at once?

Run:   python benchmarks/notellm_generation.py [--out FOLDER] [--scale 1.0]
Reads: examples/movielens: the recorded texts about 3,227 films, their genres, and the training events.
No weights can be downloaded, so a language model of about two million parameters is trained from scratch on the
recorded texts of the training films. Then tune_encoder teaches it pairs, categories and hashtags in one forward pass;
notes show title and recorded text, without genres. 30% of the films are held out of both stages: for these it writes
the main genre and all genres, before and after tuning, where the text does not name them; the control is the most
common genre. Its vectors must also find the films that people choose next among these films.
The last line printed is one JSON object.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from student_model import make_student, run
from torch.nn.functional import normalize

from app.config import load_config
from app.workplace import open_dataset
from base.progress import silent
from encoders.dense import DenseEncoder
from prompts.domain import Domain, load_domain
from prompts.notes import Guides, Labels, compression, labels_of, notes
from tuning.base import load_weights
from tuning.config import ContrastiveConfig, StepConfig
from tuning.contrastive import tune_encoder
from tuning.contrastive_steps import encode_prompts
from tuning.note_measures import recall
from tuning.note_model import load_note_model
from tuning.note_pairs import share_of, training_pairs

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "movielens"
FIELD, HELD_OUT, PAIRS = "genres", 0.3, 2_048
STUDENT = StepConfig(
    method="full", precision="bfloat16", row_tokens=256, batch_rows=16, rows_at_once=16, weight_decay=0.1
)
TUNING = ContrastiveConfig(
    method="full",
    precision="bfloat16",
    learning_rate=2e-3,
    epochs=1,
    batch_pairs=32,
    notes_at_once=64,
    alpha=1.0,
    validation=0.0,
    save_every=1_000,
    written=300,
)
"""alpha is 0.01 in the paper, whose large model can already write; this one has to learn it."""


def measure(out: Path, scale: float) -> dict[str, Any]:
    """Run all stages: train from scratch, tune, and measure on the held-out films."""
    begun = time.process_time()
    shop = load_config(EXAMPLE / "knowflow.yaml")
    dataset, domain = open_dataset(shop), load_domain(shop.domain, shop.folder)
    recorded = pl.read_parquet(EXAMPLE / "recorded" / "items.parquet")
    contents = dict(recorded.select(pl.col("item_id").cast(pl.String), "answer").iter_rows())
    rows = [row for row in dataset.items.to_dicts() if row["item"] in contents]
    texts, labels = notes(rows, domain, contents, show_fields=False), labels_of(rows, FIELD)
    held = share_of(texts, HELD_OUT, "held out/0")
    learnt = sorted(set(texts) - set(held))

    student = out / "student"
    make_student(student, [texts[item] for item in learnt], prompts(learnt, texts, labels, domain), STUDENT, scale / 2)
    told("trained from nothing", begun)
    counted = training_pairs(dataset, items=set(learnt))
    pairs = counted.pairs.sample(min(len(counted.pairs), round(PAIRS * scale)), seed=0)
    result = tune_encoder(
        student,
        texts,
        pairs,
        TUNING,
        out / "tuned",
        silent,
        seen_until=counted.seen_until,
        held_out=held,
        labels=labels,
        field=FIELD,
        domain=domain,
    )
    told("tuned", begun)
    sought = training_pairs(dataset, items=set(held)).pairs
    figures = {
        "parameters": sum(weight.numel() for weight in load_weights(student).parameters()),
        "learnt_items": len(learnt),
        "held_out_items": len(held),
        "pairs": len(pairs),
        "steps": result["figures"]["steps"],
        "loss": result["figures"]["loss"],
        "written": result["figures"]["written"],
        "sought_pairs": len(sought),
        "recall": recalls({item: texts[item] for item in held}, sought, student, out / "tuned", domain),
    }
    return {**figures, "cpu_seconds": round(time.process_time() - begun)}


def told(what: str, begun: float) -> None:
    """Print a finished step, with the CPU-seconds so far."""
    print(f"{time.process_time() - begun:6.0f} CPU-s  {what}", flush=True)


def prompts(items: Sequence[str], texts: Mapping[str, str], labels: Mapping[str, Labels], domain: Domain) -> list[str]:
    """Return examples of prompts, so that their words become tokens; the student does not learn them."""
    guides, wrapping = Guides(domain, FIELD), compression(domain)
    known = [item for item in items[:200] if labels[item].category]
    outputs = [guide(labels[item]) for item in known for guide in (guides.category, guides.all_hashtags)]
    return [f"{wrapping.before}{wrapping.after}[EMB]{output.guidance}{output.text}" for output in outputs]


def recalls(
    texts: Mapping[str, str], pairs: pl.DataFrame, student: Path, tuned: Path, domain: Domain
) -> dict[str, Mapping[str, float]]:
    """Return the recall of pairs of held-out films among all of these, by the untuned and the tuned vectors."""
    items = sorted(texts)
    place = {item: number for number, item in enumerate(items)}
    ends = np.array([(place[one], place[other]) for one, other in pairs.select("source", "target").rows()])
    model = load_note_model(student, compression(domain), TUNING)
    states = encode_prompts(model, [model.prompt(texts[item]) for item in items], 64, silent)
    after = DenseEncoder(str(tuned), "last_token", 256, 64).encode([texts[item] for item in items], silent)
    vectors = {"before": normalize(states, dim=1).numpy(), "after": after}
    return {name: recall(found, ends) for name, found in vectors.items()}


if __name__ == "__main__":
    run(measure)
