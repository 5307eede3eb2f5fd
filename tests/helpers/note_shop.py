"""A toy that every test of contrastive tuning learns from: films of three kinds, and who goes on from one to another."""

import random
from datetime import UTC, datetime

import numpy as np
import polars as pl

from prompts.domain import load_domain
from prompts.notes import Guides, Labels, compression, note_text
from tuning.config import ContrastiveConfig
from tuning.contrastive_steps import NoteTrainer
from tuning.note_batches import Pairs
from tuning.note_model import load_note_model

FILMS = load_domain("films")
GROUPS = {"Crime": "bank detective heist", "Drama": "family sorrow village", "War": "tank trench soldier"}
SEEN = datetime(2024, 5, 1, tzinfo=UTC)
CONFIG = ContrastiveConfig(
    method="full", learning_rate=3e-3, epochs=3, batch_pairs=8, notes_at_once=4, validation=0.0, save_every=2, alpha=0.1
)


def shop(count: int = 24):
    """Films of three kinds; people go on from one film to the others of its kind."""
    chance, kinds = random.Random(0), list(GROUPS)
    kind_of = {f"f{place:02}": kinds[place % 3] for place in range(count)}
    texts = {
        item: note_text(f"Film {item}", " ".join(chance.sample(GROUPS[kind].split() * 2, 4)))
        for item, kind in kind_of.items()
    }
    rows = [
        (a, b, 1.0) for a in kind_of for b in kind_of if a != b and kind_of[a] == kind_of[b] and chance.random() < 0.3
    ]
    labels = {item: Labels(kind, (kind, kind + " film", "seen")) for item, kind in kind_of.items()}
    return texts, pl.DataFrame(rows, schema=["source", "target", "score"], orient="row"), labels


def trainer_of(folder, config, generates=True):
    texts, pairs, labels = shop()
    wrapping = None if (folder / "modules.json").is_file() else compression(FILMS)
    model = load_note_model(folder, wrapping, config)
    items = sorted(texts)
    place = {item: number for number, item in enumerate(items)}
    numbers = np.array([(place[a], place[b]) for a, b, _ in pairs.rows()])
    guides = Guides(FILMS, "genre", config.hashtag_share)

    def draw(step, notes):
        chosen = [items[note] for note in notes]
        return [guides.draw(labels[item], texts[item], random.Random(f"{step}/{item}")) for item in chosen]

    prompts = [model.prompt(texts[item]) for item in items]
    batches = Pairs(numbers, config.batch_pairs, config.seed)
    return NoteTrainer(model, prompts, batches, config, 10, draw if generates else None), model, prompts, batches, draw


def gradients_of(model):
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def farthest(one, other):
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)
