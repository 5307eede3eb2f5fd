"""Features of rows: strict as-of, ties included, every row kept, against a join by hand over what the release holds."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.config import load_config
from app.feature_choice import FeatureChoice
from app.features import features_of, make_features
from app.given_rows import RowColumns
from app.workplace import open_store
from base.faults import WrongUse
from feature_store.codes import CODES_TABLE, Codes, Made, write_codes
from feature_store.parquet_chunks import WRITTEN, open_rows, read_chunks
from feature_store.releases import get_release, publish, released_knowledge
from sources.tables import event_of

START = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def released(shop_builder, tmp_path_factory):
    """A shop with a release: items, two snapshots a user, and answers about items that have fields."""
    folder = tmp_path_factory.mktemp("features") / "shop"
    shop = shop_builder(folder)
    shop.release("kar_item", "kar_user", "item_facts")
    return shop


@pytest.fixture
def config(released):
    return load_config(released.config)


def rows_of(*rows: tuple[str | None, str | None, datetime | None], **more: list) -> pl.DataFrame:
    schema = {"user": pl.String, "item": pl.String, "time": pl.Datetime("us", "UTC")}
    return pl.DataFrame(list(rows), schema=schema, orient="row").with_columns(
        **{k: pl.Series(v) for k, v in more.items()}
    )


def by_hand(config, task: str, encoder: str, frame: pl.DataFrame) -> list[list[float] | None]:
    """The newest vector of each row's entity, by a loop over all that the release holds."""
    known = released_knowledge(open_store(config), get_release(open_store(config)), task, encoder)
    ids = frame[known.entity].to_list()
    times = frame["time"].dt.replace_time_zone(None).to_list()
    found: list[list[float] | None] = []
    for who, when in zip(ids, times, strict=True):
        earlier = [
            (as_of, place)
            for place, (entity, as_of) in enumerate(zip(known.entities, known.as_of.tolist(), strict=True))
            if entity == who and (when is None or as_of < when)
        ]
        found.append(known.vectors[max(earlier)[1]].tolist() if earlier else None)
    return found


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["u0", "u1", "u3", "nobody", None]),
            st.sampled_from(["i0", "i5", "i11", "nothing", None]),
            # events are a minute apart, so that many rows fall on an as_of
            st.one_of(st.none(), st.integers(-2, 12).map(lambda half: START + half * MINUTE / 2)),
        ),
        max_size=12,
    )
)
def test_features_equal_a_loop_over_all_knowledge(config, listed):
    frame = rows_of(*listed)

    found = features_of(config, frame)

    assert found.select(frame.columns).equals(frame)
    for task in ("kar_item", "kar_user", "item_facts"):
        assert found[f"{task}_lexical"].to_list() == by_hand(config, task, "lexical", frame)


def test_knowledge_made_at_the_rows_own_moment_is_not_seen(config):
    # 5 events a minute apart: snapshots at half and at the end see the events until 00:02 and 00:04, or 00:01
    known = released_knowledge(open_store(config), get_release(open_store(config)), "kar_user", "lexical")
    last = max(as_of for who, as_of in zip(known.entities, known.as_of.tolist(), strict=True) if who == "u1")
    first = min(as_of for who, as_of in zip(known.entities, known.as_of.tolist(), strict=True) if who == "u1")
    moment = first.replace(tzinfo=UTC)
    frame = rows_of(("u1", "i0", moment), ("u1", "i0", moment + timedelta(microseconds=1)), ("u1", "i0", None))

    found = features_of(config, frame)

    assert found["kar_user_lexical"].is_null().to_list() == [True, False, False]
    assert found["kar_user_lexical"][1].to_list() != found["kar_user_lexical"][2].to_list()
    # the age of what a live row sees ends where the release was made
    made = get_release(open_store(config)).created_at
    assert found["kar_user_age_days"][0] is None
    assert found["kar_user_age_days"][1] == pytest.approx(1e-6 / 86_400, rel=1e-3)
    assert found["kar_user_age_days"][2] == pytest.approx(
        (made - last.replace(tzinfo=UTC)) / timedelta(days=1), rel=1e-6
    )


def test_a_file_has_the_features_of_the_frame_in_order_with_every_column(config, tmp_path):
    count = 3 * WRITTEN // 2  # more than is written at once
    chance = np.random.default_rng(0)
    frame = rows_of(
        *[
            (f"u{user}", f"i{item}", START + minute * MINUTE)
            for user, item, minute in chance.integers(0, 6, (count, 3)).tolist()
        ],
        label=chance.integers(0, 2, count),
        note=["a", None, "b"] * (count // 3),
    )
    frame.write_parquet(tmp_path / "rows.parquet", row_group_size=5_000)

    made = make_features(config, tmp_path / "rows.parquet", tmp_path / "features.parquet")

    written = pl.read_parquet(made.file)
    assert written.equals(features_of(config, frame))
    assert written.select(frame.columns).equals(frame)
    assert made.rows == count
    assert made.known["kar_item_lexical"] == written["kar_item_lexical"].is_not_null().sum()
    assert pq.read_schema(made.file).field("kar_item_lexical").type.list_size == 4
    described = json.loads(made.schema_file.read_text())
    assert [one["name"] for one in described["columns"]] == written.columns
    assert described["release"] == written["knowflow_release"].unique().item() == "rel-000001"
    of_item = next(one for one in described["columns"] if one["name"] == "kar_item_lexical")
    assert (of_item["task"], of_item["encoder"], of_item["entity"]) == ("kar_item", "lexical", "item")
    assert not list(tmp_path.glob(".*"))


def test_chunks_of_any_size_give_the_same(config, tmp_path):
    frame = rows_of(*[(f"u{n % 5}", f"i{n % 13}", START + (n % 7) * MINUTE) for n in range(50)])
    frame.write_parquet(tmp_path / "rows.parquet")
    file = open_rows(tmp_path / "rows.parquet")

    parts = [features_of(config, chunk) for chunk in read_chunks(file, rows=7)]

    assert pl.concat(parts).equals(features_of(config, frame))


def test_only_what_is_chosen_is_added(config):
    frame = rows_of(("u1", "i1", None))

    def added(**choice) -> list[str]:
        return features_of(config, frame, choice=FeatureChoice(**choice)).columns[3:-1]

    assert added(tasks=("kar_item",)) == ["kar_item_lexical"]
    assert added(columns=("kar_user_*",)) == ["kar_user_lexical", "kar_user_age_days"]
    assert added(columns=("kar_item_text", "*_age_days")) == ["kar_user_age_days", "kar_item_text"]
    with pytest.raises(WrongUse, match=r"no such task: kar_itme\n  there are: .*kar_item"):
        added(tasks=("kar_itme",))
    with pytest.raises(WrongUse, match="no such encoder: dense"):
        added(encoders=("dense",))
    with pytest.raises(WrongUse, match="no feature named nothing"):
        added(columns=("nothing",))


def test_rows_without_users_do_for_features_of_items(config):
    found = features_of(config, pl.DataFrame({"item": ["i1", "i99"]}), choice=FeatureChoice(tasks=("kar_item",)))

    assert found["kar_item_lexical"].is_null().to_list() == [False, True]


def test_half_precision_loses_nothing_and_numbers_of_vectors_lead_to_the_same(config, tmp_path):
    frame = rows_of(("u1", "i1", START + 9 * MINUTE), ("u9", "i2", START), ("u2", "i3", None))
    frame.write_parquet(tmp_path / "rows.parquet")
    whole = features_of(config, frame)

    half = features_of(config, frame, choice=FeatureChoice(half=True))
    made = make_features(config, tmp_path / "rows.parquet", tmp_path / "f.parquet", choice=FeatureChoice(indexed=True))

    assert half["kar_item_lexical"].dtype == pl.Array(pl.Float16, 4)
    assert half["kar_user_lexical"].to_list() == whole["kar_user_lexical"].to_list()
    assert made.tables == tmp_path / "f.tables"
    numbers = pl.read_parquet(made.file)["kar_user_lexical_row"]
    table = pl.read_parquet(made.tables / "kar_user_lexical.parquet")
    assert table["kar_user_lexical"].gather(numbers).to_list() == whole["kar_user_lexical"].to_list()
    assert table.columns == ["user", "as_of", "kar_user_lexical"]


def test_codes_are_known_from_the_later_of_their_clocks(released, tmp_path):
    shutil.copytree(released.folder, tmp_path / "shop")
    config = load_config(tmp_path / "shop" / "knowflow.yaml")
    store = open_store(config)
    seen = np.datetime64("2024-01-01T00:05:00", "us")
    made = Made("rqvae", "f", {"item_facts/lexical": "g"}, seen)
    codes = Codes(
        made, "item", np.array(["i1"]), np.array([0], dtype="datetime64[us]"), np.array([[3, 1]], dtype=np.int32)
    )
    facts = dict(get_release(store).facts)
    with store.writer("a test") as writer:
        write_codes(writer, codes)
        publish(writer, facts | {CODES_TABLE: {"rqvae": made.facts() | {"entity": "item"}}})

    found = features_of(config, rows_of(("u1", "i1", START + 5 * MINUTE), ("u1", "i1", START + 6 * MINUTE)))

    assert found["codes_rqvae"].to_list() == [None, [3, 1]]
    assert found["codes_rqvae"].dtype == pl.Array(pl.Int32, 2)
    assert found["codes_rqvae_age_days"].to_list() == [None, pytest.approx(1 / 1440)]


def test_all_faults_of_the_rows_are_named_at_once_and_nothing_is_written(config, tmp_path):
    frame = pl.DataFrame(
        {"user": [1.5, 2.0, None], "item": ["i1", "i2", "i3"], "time": ["2024-01-01", "soon", "1970-01-02"]}
    )
    frame.write_parquet(tmp_path / "rows.parquet")

    with pytest.raises(WrongUse) as told:
        make_features(config, tmp_path / "rows.parquet", tmp_path / "out.parquet")

    lines = str(told.value).splitlines()
    assert lines[0] == "rows.parquet: 3 faults, nothing was written"
    assert "  row 2  time  'soon'        is not a time" in lines
    assert "  row 3  time  '1970-01-02'  is before 1980-01-01 when read as a time" in lines
    assert "  row 1  user  '1.5'         is no id of a user" in lines
    assert not (tmp_path / "out.parquet").exists()


def test_columns_that_share_a_name_and_wrong_paths_are_refused(config, tmp_path):
    rows = pa.table([["u1"], ["u2"], ["i1"], [None]], names=["user", "user", "item", "time"])
    pq.write_table(rows, tmp_path / "rows.parquet")

    with pytest.raises(WrongUse, match=r"rows.parquet: columns share a name: 'user' \(2 times\)"):
        make_features(config, tmp_path / "rows.parquet", tmp_path / "out.parquet")
    with pytest.raises(WrongUse, match="is a folder"):
        make_features(config, tmp_path / "rows.parquet", tmp_path)
    with pytest.raises(WrongUse, match=r"none.parquet: there is no such file"):
        make_features(config, tmp_path / "none.parquet", tmp_path / "rows.parquet")
    (tmp_path / "out.tables").touch()
    with pytest.raises(WrongUse, match=r"out.tables, to be written beside it, is not a folder"):
        make_features(config, tmp_path / "rows.parquet", tmp_path / "out.parquet", choice=FeatureChoice(indexed=True))


def test_no_rows_have_all_columns(config, tmp_path):
    rows_of().write_parquet(tmp_path / "rows.parquet")

    made = make_features(config, tmp_path / "rows.parquet", tmp_path / "f.parquet")

    assert pl.read_parquet(made.file).schema == features_of(config, rows_of(("u1", "i1", None))).schema


def test_rows_without_times_see_everything(config, tmp_path):
    frame = pl.DataFrame({"user": ["u1", "u2"], "item": ["i1", "i2"]})
    frame.write_parquet(tmp_path / "rows.parquet")

    made = make_features(config, tmp_path / "rows.parquet", tmp_path / "f.parquet")

    assert made.live == 2
    assert pl.read_parquet(made.file)["kar_user_lexical"].null_count() == 0


def test_missing_columns_and_taken_names_are_named_at_once(config, tmp_path):
    pl.DataFrame({"who": ["u1"], "kar_item_lexical": [1]}).write_parquet(tmp_path / "rows.parquet")

    with pytest.raises(WrongUse) as told:
        make_features(config, tmp_path / "rows.parquet", tmp_path / "out.parquet", columns=RowColumns(time="when"))

    assert "column  user              is missing; there are: who, kar_item_lexical" in str(told.value)
    assert "column  item              is missing" in str(told.value)
    assert "column  when              is missing" in str(told.value)
    assert "column  kar_item_lexical  is also the name of a column that is added" in str(told.value)
    assert "name it: --user-column NAME" in str(told.value)


@pytest.mark.parametrize(
    ("said", "hour"),
    [
        (pl.Series([1_704_074_400]), 2),
        (pl.Series([1_704_074_400_000]), 2),
        (pl.Series([1_704_074_400.5]), 2),
        (pl.Series(["1704074400"]), 2),
        (pl.Series([" 1704074400.5 "]), 2),
        (pl.Series(["1704074400000"]), 2),
        (pl.Series(["1704074400000000"]), 2),
        (pl.Series(["2024-01-01T03:00:00+01:00"]), 2),
        (pl.Series(["2024-01-01 02:00:00"]), 2),
        (pl.Series([datetime(2024, 1, 1, 2)]), 2),
        (pl.Series([datetime(2024, 1, 1, 2)], dtype=pl.Datetime("ns", "Europe/Berlin")), 2),
    ],
)
def test_times_of_every_usual_type_are_read(config, said, hour):
    frame = pl.DataFrame({"user": ["u1"], "item": ["i1"], "time": said})

    age = features_of(config, frame, choice=FeatureChoice(columns=("kar_user_age_days",)))["kar_user_age_days"].item()

    # u1's newest snapshot saw the event at 00:04
    assert age == pytest.approx((hour * 60 - 4) / 1440, abs=1e-4)


def test_whole_numbers_are_the_ids_that_texts_are(make_shop):
    shop = make_shop()
    shop.write_items({str(place): f"Thing {place}" for place in range(12)})
    shop.write_events([(str(user), str(user), START + user * MINUTE, 4.0) for user in range(4)])
    shop.release("kar_item")
    frame = pl.DataFrame({"user": [1, 2, 3], "item": [1.0, 77.0, float("nan")]})

    found = features_of(load_config(shop.config), frame)

    assert found["kar_item_lexical"].is_null().to_list() == [False, True, True]


def test_the_command_writes_and_says_what_is_known(released, plain_knowflow, tmp_path):
    rows_of(("u1", "i1", START + 9 * MINUTE), ("u1", "i99", None)).write_parquet(tmp_path / "rows.parquet")
    command = (
        "features",
        "--config",
        released.config,
        "--rows",
        tmp_path / "rows.parquet",
        "--out",
        tmp_path / "f.parquet",
    )

    done = plain_knowflow.run(*command)
    told = json.loads(plain_knowflow.run(*command, "--columns", "kar_item_*", "--json").stdout)

    assert "kar_item_lexical             1   50.0%" in done.stdout
    assert "1 row without a time" in done.stderr
    assert told["known"] == {"kar_item_lexical": 1}
    assert pl.read_parquet(tmp_path / "f.parquet").columns == [
        "user",
        "item",
        "time",
        "kar_item_lexical",
        "knowflow_release",
    ]


def republished(config, name: str, seen_until: datetime | None) -> None:
    """Publish a release in which the encoder of some vectors has seen events until a moment, or none."""
    store = open_store(config)
    facts = dict(get_release(store).facts)
    made = {**facts["vectors"][name], "seen_until": seen_until and seen_until.isoformat()}
    with store.writer("a test") as writer:
        publish(writer, facts | {"vectors": {**facts["vectors"], name: made}})


def test_vectors_of_an_encoder_that_saw_events_are_known_only_after_these(released, tmp_path):
    shutil.copytree(released.folder, tmp_path / "shop")
    config = load_config(tmp_path / "shop" / "knowflow.yaml")
    republished(config, "kar_item/lexical", START + 3 * MINUTE)
    frame = rows_of(("u1", "i1", START + 3 * MINUTE), ("u1", "i1", START + 4 * MINUTE))

    found = features_of(config, frame)

    assert found["kar_item_lexical"].is_null().to_list() == [True, False]
    assert found["kar_item_age_days"].to_list() == [None, pytest.approx(1 / 1440)]
    assert found["item_facts_lexical"].is_null().to_list() == [False, False]


def test_what_is_known_of_an_event_is_seen_when_the_pair_comes_again_and_never_by_the_event_itself(make_shop):
    shop = make_shop(tasks={"kar_item": {}, "cot_examples": {}})
    shop.release("kar_item", "cot_examples")
    config = load_config(shop.config)
    explained = next(iter(shop.lineage("cot_examples").values()))
    (user, item), moment = event_of(explained["entity"]), explained["as_of"]
    frame = rows_of((user, item, moment), (user, item, moment + MINUTE), (user, "i99", None), ("u99", item, None))
    choice = FeatureChoice(tasks=("cot_examples",))

    republished(config, "cot_examples/lexical", None)
    found = features_of(config, frame, choice=choice)
    republished(config, "cot_examples/lexical", moment + MINUTE)
    later = features_of(config, frame, choice=choice)

    assert "cot_examples_lexical" not in features_of(config, frame).columns
    assert found["cot_examples_lexical"].is_null().to_list() == [True, False, True, True]
    assert later["cot_examples_lexical"].is_null().to_list() == [True, True, True, True]
