"""Exports of a release: every format read by the tool it is for, with the values that the release holds."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import lance
import numpy as np
import polars as pl
import pytest
import yaml
from sentence_transformers import SentenceTransformer

from app.config import load_config
from app.exporting import _fitting, _written, export_release
from app.exports.protocol import FORMATS, ExportFormat
from app.feature_choice import FeatureChoice
from app.workplace import open_store
from base.faults import WrongUse
from base.plugins import UnknownPlugin, choose
from feature_store.features import Column, Source
from feature_store.releases import get_release, released_knowledge

START = datetime(2024, 1, 1, tzinfo=UTC)
USERS = FeatureChoice(columns=("kar_user_lexical",))


@pytest.fixture(scope="module")
def released(shop_builder, tmp_path_factory):
    """A shop with a release: items, and two snapshots a user."""
    shop = shop_builder(tmp_path_factory.mktemp("exports") / "shop")
    shop.release("kar_item", "kar_user")
    return shop


@pytest.fixture
def config(released):
    return load_config(released.config)


@pytest.fixture
def known(config):
    """What the release holds of users: (id, as_of) -> vector."""
    held = released_knowledge(open_store(config), get_release(open_store(config)), "kar_user", "lexical")
    pairs = zip(held.entities.tolist(), held.as_of.tolist(), strict=True)
    return dict(zip(pairs, held.vectors.tolist(), strict=True))


def read_parquet(folder):
    table = pl.read_parquet(folder / "kar_user_lexical.parquet")
    return table.with_columns(pl.col("as_of").dt.replace_time_zone(None)).rows()


def read_npz(folder):
    with np.load(folder / "kar_user_lexical.npz") as held:
        return list(zip(held["id"].tolist(), held["as_of"].tolist(), held["vector"].tolist(), strict=True))


def read_lance(folder):
    rows = lance.dataset(str(folder / "kar_user_lexical.lance")).to_table().to_pylist()
    return [(row["user"], row["as_of"].replace(tzinfo=None), row["kar_user_lexical"]) for row in rows]


@pytest.mark.parametrize(("name", "read"), [("parquet", read_parquet), ("npz", read_npz), ("lance", read_lance)])
def test_tables_hold_every_row_of_the_release_with_its_as_of(config, known, tmp_path, name, read):
    made = export_release(config, name, tmp_path / "out", choice=USERS)

    rows = read(tmp_path / "out")
    assert {(who, when): list(vector) for who, when, vector in rows} == known
    assert made.tables == {"kar_user_lexical": len(known)}
    assert json.loads((tmp_path / "out" / "knowflow_export.json").read_text())["release"] == "rel-000001"


def test_a_moment_leaves_out_what_was_known_at_it_and_later(config, known, tmp_path):
    moment = sorted({when for _, when in known})[1]

    export_release(config, "npz", tmp_path / "out", choice=USERS, before=moment.replace(tzinfo=UTC))

    assert {(who, when) for who, when, _ in read_npz(tmp_path / "out")} == {one for one in known if one[1] < moment}
    with pytest.raises(WrongUse, match="nothing was known before"):
        export_release(config, "npz", tmp_path / "none", choice=USERS, before=START - timedelta(days=1))


def test_a_model_of_sentence_transformers_encodes_ids_as_their_newest_vectors(config, known, tmp_path):
    export_release(config, "sentence-transformers", tmp_path / "out", choice=USERS)

    model = SentenceTransformer(str(tmp_path / "out" / "kar_user_lexical"), device="cpu")
    found = model.encode(["u2", "nobody", "u0"])

    newest = {who: vector for (who, _), vector in sorted(known.items())}
    np.testing.assert_array_equal(found, np.array([newest["u2"], [0, 0, 0, 0], newest["u0"]], dtype=np.float32))


def test_fuxictr_gets_keys_and_values_of_the_newest_vectors(config, known, tmp_path):
    export_release(config, "fuxictr", tmp_path / "out", choice=USERS)

    (column,) = yaml.safe_load((tmp_path / "out" / "dataset_config.yaml").read_text())["feature_cols"]
    with np.load(column["pretrained_emb"]) as held:
        found = dict(zip(held["key"].tolist(), held["value"].tolist(), strict=True))
    assert found == {who: vector for (who, _), vector in sorted(known.items())}
    assert (column["name"], column["pretrain_dim"]) == ("user_id", 4)


def test_recbole_gets_the_log_and_vectors_that_keep_every_bit(config, known, released, tmp_path):
    export_release(config, "recbole", tmp_path / "out", choice=USERS)

    folder = tmp_path / "out" / "shop"
    vectors = pl.read_csv(folder / "shop.uservec", separator="\t")
    found = {who: [np.float32(one) for one in text.split()] for who, text in vectors.rows()}
    assert vectors.columns == ["kar_user_lexical_id:token", "kar_user_lexical_vector:float_seq"]
    assert found == {who: vector for (who, _), vector in sorted(known.items())}
    log = pl.read_csv(folder / "shop.inter", separator="\t")
    assert len(log) == len(released.events())
    assert log.columns == ["user_id:token", "item_id:token", "rating:float", "label:float", "timestamp:float"]
    assert log["timestamp:float"].min() == START.timestamp()


def test_feasts_event_timestamp_is_after_as_of_because_feast_shows_what_is_at_the_rows_own_time(
    config, known, tmp_path
):
    export_release(config, "feast", tmp_path / "out", choice=USERS)

    table = pl.read_parquet(tmp_path / "out" / "data" / "kar_user_lexical.parquet")
    shown = table["event_timestamp"].dt.replace_time_zone(None).to_list()
    assert sorted(shown) == sorted(when + timedelta(microseconds=1) for _, when in known)
    definitions = (tmp_path / "out" / "definitions.py").read_text()
    compile(definitions, "definitions.py", "exec")
    assert "dtype=Array(Float32)" in definitions


def test_a_folder_that_holds_something_and_an_unknown_format_are_refused(config, tmp_path):
    (tmp_path / "old.txt").write_text("old")

    with pytest.raises(WrongUse, match="holds something already"):
        export_release(config, "parquet", tmp_path)
    with pytest.raises(UnknownPlugin, match=r"no such export format: parket\n  there are: .*feast.*parquet"):
        export_release(config, "parket", tmp_path / "out")


def test_what_a_format_cannot_hold_is_refused_before_anything_is_written(config, tmp_path):
    def refused(words, name, *columns):
        with pytest.raises(WrongUse, match=words):
            export_release(config, name, tmp_path / "out", choice=FeatureChoice(columns=columns))
        assert not (tmp_path / "out").exists()

    for name in ("npz", "fuxictr", "recbole", "sentence-transformers"):
        refused("holds vectors alone, and there are none in kar_user_text", name, "kar_user_text")
    refused("the chosen columns hold no table to export", "parquet", "kar_user_age_days")

    made = export_release(
        config, "npz", tmp_path / "o", choice=FeatureChoice(columns=("kar_user_text", "kar_user_lexical"))
    )
    assert list(made.tables) == ["kar_user_lexical"]


def test_knowledge_about_events_is_refused_where_only_users_and_items_have_a_place():
    event = Source(
        "cot_examples/dense",
        "event",
        np.array(["e"]),
        np.zeros(1, np.int64),
        (Column("c", np.ones((1, 2), np.float32)),),
    )

    for name in ("recbole", "fuxictr", "feast"):
        with pytest.raises(WrongUse, match="cot_examples/dense is about events"):
            _fitting([event], choose(FORMATS, [name])[0], "rel-000001")
    assert [one.name for one in _fitting([event], choose(FORMATS, ["npz"])[0], "rel-000001")] == ["cot_examples/dense"]


def test_an_export_that_fails_leaves_nothing_behind(tmp_path):
    def broken(exported, out):
        (out / "half").write_text("half")
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        _written(ExportFormat("broken", "", broken), None, tmp_path / "out")

    assert not (tmp_path / "out").exists()


TOY = '''"""Toy: the ids of a table, a line each."""

from app.exports.protocol import ExportFormat


def write(exported, out):
    for source, column in exported.columns():
        (out / f"{column.name}.txt").write_text("\\n".join(sorted(set(source.entities.tolist()))))
    return ["read it"]


TOY = ExportFormat("toy", "ids, a line each", write)
'''


def test_a_team_adds_a_format_with_one_file(released, plain_knowflow, tmp_path):
    shutil.copytree(released.folder, tmp_path / "shop")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "toy.py").write_text(TOY)
    config = tmp_path / "shop" / "knowflow.yaml"
    config.write_text(config.read_text() + "plugins: [../ours]\n")
    command = (
        "export",
        "--config",
        config,
        "--format",
        "toy",
        "--out",
        tmp_path / "out",
        "--columns",
        "kar_user_lexical",
    )

    done = plain_knowflow.run(*command)

    assert (tmp_path / "out" / "kar_user_lexical.txt").read_text().split() == ["u0", "u1", "u2", "u3"]
    assert "toy of rel-000001" in done.stdout
    assert "read it" in done.stdout
