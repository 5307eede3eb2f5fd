"""Encoders are plug-ins: read without loading what they need, with settings of their own; vectors stay as they were."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn

from base.plugins import UnknownPlugin, find
from encoders.choose import ENCODERS, kind_of, setting_faults
from encoders.dense import DENSE
from encoders.lexical import LEXICAL
from encoders.protocol import EncoderConfig, Fitting

ROOT = Path(__file__).resolve().parents[2]
LAZY = """
import sys
from base.plugins import find
from encoders.choose import ENCODERS
print(*find(ENCODERS))
heavy = ("torch", "vllm", "sklearn", "scipy", "transformers", "sentence_transformers")
print([name for name in heavy if name in sys.modules])
"""
TEXTS = [
    "A heist film with De Niro and Pacino.",
    "A warm comedy of a pig who herds sheep.",
    "Heist, crime and a chase.",
]


def test_reading_which_encoders_there_are_loads_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", LAZY], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["dense lexical vllm", "[]"]


def test_a_kind_says_whether_it_is_fitted_and_whether_it_loads_a_model():
    said = {name: (kind.fitted, kind.loads_a_model) for name, kind in find(ENCODERS).items()}

    assert said == {"dense": (False, True), "lexical": (True, False), "vllm": (False, True)}
    with pytest.raises(UnknownPlugin, match="no such encoder: dens\n  there are: dense, lexical, vllm"):
        kind_of(EncoderConfig(kind="dens"))


def test_all_faults_of_the_settings_are_found_each_by_the_options_of_its_kind():
    given = {
        "a": {"kind": "dense", "pooling": "max", "dimension": 3},
        "b": {"kind": "lexical", "dimension": 1, "refit_shares": 0.5},
        "c": {"kind": "vllm"},
        "d": {"kind": "dens"},
        "e": "not for us",
        "f": {"model": "x"},
    }

    found = [(".".join(map(str, detail["loc"])), detail["type"]) for detail, _ in setting_faults(given)]

    assert found == [
        ("encoders.a.pooling", "literal_error"),
        ("encoders.a.dimension", "extra_forbidden"),
        ("encoders.b.dimension", "greater_than_equal"),
        ("encoders.b.refit_shares", "extra_forbidden"),
        ("encoders.c.model", "missing"),
        ("encoders.d.kind", "literal_error"),
    ]
    assert setting_faults(None) == setting_faults({}) == []


# Vectors that were stored are found again by these; the values are what earlier stores hold.
@pytest.mark.parametrize(
    ("settings", "fingerprint"),
    [
        ({}, "0fafd758133a55d371e5b2568a52708e"),
        ({"pooling": "cls"}, "4e8caa57e029fd7b8135283d9883b801"),
        ({"pooling": "top_two_mean"}, "df930a7f5a7f6d3ecafb844a1774bf1f"),
    ],
)
def test_fingerprints_of_dense_vectors_stay(settings, fingerprint):
    assert not isinstance(DENSE.build, Fitting)
    encoder = DENSE.build(DENSE.options.model_validate(settings), Path())

    assert encoder.fingerprint == fingerprint


def test_the_fingerprint_of_lexical_vectors_is_the_hash_of_the_fit_s_parameters_place_and_texts():
    assert isinstance(LEXICAL.build, Fitting)
    encoder = LEXICAL.build.fit(LEXICAL.options.model_validate({"dimension": 4}), TEXTS, "lexical/kar_item")
    form = "tfidf 1-2 grams, sublinear, truncated svd, unit length, v1"
    digest = hashlib.sha256(json.dumps([form, 100_000, sklearn.__version__, "lexical/kar_item", 4]).encode())
    for text in sorted(TEXTS):
        digest.update(hashlib.sha256(text.encode()).digest())

    assert encoder.fingerprint == digest.hexdigest()[:32]
    assert LEXICAL.build.from_state(encoder.state()).fingerprint == encoder.fingerprint
