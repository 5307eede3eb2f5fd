"""A toy for tuning: a random language model and our own general instructions, both made on the fly.

Run:   python benchmarks/tuning_toy.py FOLDER
Makes: FOLDER/tiny, a model, and FOLDER/instructions.jsonl: sums, words in order, and small JSON objects. They contain
no third-party text and are in the public domain (CC0). A real tuning needs a real model and real instructions.
"""

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from tiny_model import make_model

WORDS = ("amber", "basil", "cedar", "delta", "ember", "flint", "grove", "hazel", "ivory", "jade", "kelp", "lunar")


def instructions(count: int, seed: int = 0) -> Iterator[dict[str, object]]:
    """Make distinct instructions.

    Args:
        count: Number of instructions.
        seed: The same seed gives the same ones.
    """
    chance = random.Random(seed)
    for place in range(count):
        one, other = chance.randint(0, 999), chance.randint(0, 999)
        words = chance.sample(WORDS, 4)
        question, answer = (
            (f"How much is {one} + {other}?", str(one + other)),
            (f"Write in alphabetical order: {', '.join(words)}", ", ".join(sorted(words))),
            (
                f"Write as JSON: {words[0]} is {one}, {words[1]} is {other}",
                json.dumps({words[0]: one, words[1]: other}),
            ),
        )[place % 3]
        said = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        yield {"messages": said, "licence": "CC0-1.0"}


def make_toy(folder: Path, count: int = 600) -> tuple[Path, Path]:
    """Write the model and the instructions; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "instructions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in instructions(count)), encoding="utf-8")
    return make_model(folder / "tiny"), file


if __name__ == "__main__":
    for path in make_toy(Path(sys.argv[1])):
        print(path)
