"""Makes codes of the vectors of a release, and publishes them beside the vectors."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from app.codes import publish_sets
from app.config import Config
from app.options import options_of, task_and_encoder
from app.workplace import open_workplace
from base.frozen import Frozen
from base.plugins import choose
from base.progress import Progress
from feature_store.codes import Codes, Made
from feature_store.leak_codes import seen_behind
from feature_store.lineage import VectorName
from feature_store.releases import get_release, released_knowledge
from feature_store.vectors import Knowledge
from recommenders.code_maker import CODE_MAKERS, CodeMaker


def make_codes(
    config: Config,
    name: str,
    vectors: str,
    progress: Progress,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Make codes of one set of vectors of the current release, and publish them under the maker's name.

    Args:
        config: The config; makers in its `plugins:` folders are found too.
        name: Name of the maker.
        vectors: Name of the vectors, as technique/encoder.
        progress: Called with the progress.
        options: Options of the maker that differ from the defaults.
        seed: Random seed.

    Returns:
        Plain JSON: `release` (the current one afterwards), `rows`, `levels`, `seen_until` and the maker's `figures`.

    Raises:
        UnknownPlugin: There is no such maker.
        WrongUse: An option is invalid.
        NoRelease: There is no release, or it lacks the vectors.
        GatesClosed: A gate does not hold; nothing was written.
        WrongUse: Another process writes.
    """
    (maker,) = choose(CODE_MAKERS, [name], config.plugin_folders)
    chosen, workplace = options_of(maker, options or {}), open_workplace(config)
    release = get_release(workplace.store)
    knowledge = released_knowledge(workplace.store, release, *task_and_encoder(vectors))
    made_from = {vectors: release.vectors[VectorName.read(vectors)].fingerprint}
    behind = seen_behind(workplace.store, release, made_from)
    seen_until = None if behind is None else np.datetime64(behind.replace(tzinfo=None), "us")
    made = Made(maker.name, _fingerprint(maker, chosen, seed, made_from, knowledge), made_from, seen_until)
    coded = maker.make(knowledge.vectors, chosen, seed, progress)
    codes = Codes(made, knowledge.entity, knowledge.entities, knowledge.as_of, coded.codes)
    published = publish_sets(config, workplace, release, f"knowflow codes {name} --vectors {vectors}", [codes])
    return {
        "release": published,
        "name": maker.name,
        "vectors": vectors,
        "rows": len(coded.codes),
        "levels": coded.codes.shape[1],
        "seen_until": None if behind is None else behind.isoformat(),
        "options": chosen.model_dump(mode="json"),
        "seed": seed,
        "figures": dict(coded.figures),
    }


def _fingerprint(
    maker: CodeMaker[Any], options: Frozen, seed: int, made_from: Mapping[str, str], knowledge: Knowledge
) -> str:
    """Hash everything that shapes the codes, including the vectors: one more row changes every code."""
    said = [maker.name, options.model_dump(mode="json"), seed, dict(made_from), knowledge.entities.tolist()]
    digest = hashlib.sha256(json.dumps(said, ensure_ascii=False).encode())
    digest.update(knowledge.as_of.astype("datetime64[us]").astype(np.int64).tobytes())
    digest.update(np.ascontiguousarray(knowledge.vectors).tobytes())
    return digest.hexdigest()[:16]
