"""The index of vectors: made when it is due, added to by later runs, made anew for other vectors, kept by releases."""

from dataclasses import replace

import lance
import numpy as np
import pytest

from feature_store.bucket import Bucket
from feature_store.cleaned import clean_table
from feature_store.database import Store
from feature_store.lineage import VectorName
from feature_store.near import open_vectors
from feature_store.releases import ReleasedVectors, publish
from feature_store.repair import repair
from feature_store.vector_index import index_name, indices_of, update_index
from feature_store.vectors import vectors_table, write_vectors
from feature_store.verify import verify

NAME, WIDTH = VectorName("facts", "dense"), 16
TABLE = vectors_table(NAME, WIDTH)
LEAST = 400


def clustered(count: int, seed: int = 0) -> np.ndarray:
    """[count, WIDTH] float32 in 8 clusters far from each other."""
    chance = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(8, WIDTH))
    return (centres[np.arange(count) % 8] + 0.2 * chance.normal(size=(count, WIDTH))).astype(np.float32)


def nearest_by_hand(vectors: np.ndarray, asked: np.ndarray, k: int) -> list[int]:
    """The places of the k nearest by cosine: half precision, as stored, then all in double."""
    stored, wanted = vectors.astype(np.float16).astype(np.float64), asked.astype(np.float64)
    cosine = stored @ wanted / (np.sqrt((stored**2).sum(axis=1)) * np.sqrt((wanted**2).sum()))
    return np.argsort(-cosine, kind="stable")[:k].tolist()


def raise_interrupt(*_) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def disk(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture(params=["disk", "bucket"])
def store(request, tmp_path, disk):
    return disk if request.param == "disk" else Store(tmp_path, None, Bucket(str(tmp_path / "b"), {}, tmp_path / "one"))


def write(store: Store, vectors: np.ndarray, fit: str = "fit", start: int = 0):
    """Write vectors of the texts t0, t1, ..., bring the index up to date, and release them."""
    keys = [f"t{start + place}" for place in range(len(vectors))]
    with store.writer("a test") as writer:
        write_vectors(writer, NAME, fit, keys, vectors)
        changed = update_index(writer, NAME, WIDTH, fit, LEAST)
        return publish(writer, {"vectors": {str(NAME): {"fingerprint": fit, "dimension": WIDTH}}}), changed


def found(store: Store, release, asked: np.ndarray, k: int, fit: str = "fit", **how) -> list[int]:
    opened = open_vectors(store, release, NAME, ReleasedVectors(fit, WIDTH))
    assert opened is not None
    names = dict(opened.texts.select("place", "text_key").iter_rows())
    return [int(names[place][1:]) for place in opened.nearest(asked, k, **how)["place"]]


def probes(store: Store, release) -> int:
    opened = open_vectors(store, release, NAME, ReleasedVectors("fit", WIDTH))
    return 0 if opened is None else opened.probes


def test_few_vectors_are_compared_one_by_one_and_many_by_an_index_with_the_same_result_in_clusters(store):
    few, _ = write(store, clustered(LEAST - 1))
    many, changed = write(store, clustered(1_600, seed=1)[LEAST - 1 :], start=LEAST - 1)
    vectors = np.concatenate([clustered(LEAST - 1), clustered(1_600, seed=1)[LEAST - 1 :]])

    by_hand = [nearest_by_hand(vectors, vectors[place], 10) for place in range(0, 1_600, 50)]
    exact, by_index = (
        [found(store, many, vectors[place], 10, exact=how) for place in range(0, 1_600, 50)] for how in (True, False)
    )

    assert (probes(store, few), changed, probes(store, many)) == (0, True, 1)
    assert list(indices_of(store.open(TABLE))) == [index_name("fit", 3)]
    assert [set(one) for one in exact] == [set(one) for one in by_hand]
    assert np.mean([len({*a} & {*b}) / 10 for a, b in zip(by_index, by_hand, strict=True)]) >= 0.95
    assert found(store, few, vectors[3], 5) == nearest_by_hand(vectors[: LEAST - 1], vectors[3], 5)


def test_vectors_written_after_the_index_are_found_before_and_after_they_are_put_into_it(store):
    write(store, clustered(800))
    late = -clustered(80, seed=3)  # in no cluster

    before, few = write(store, late[:79], start=800)
    after, tenth = write(store, late[79:], start=879)
    with store.writer("a test") as writer:
        again = update_index(writer, NAME, WIDTH, "fit", LEAST)

    inside = [indices_of(store.open(TABLE, one.versions[TABLE])) for one in (before, after)]
    assert (few, tenth, again) == (False, True, False)
    assert inside == [{index_name("fit", 2): 800}, {index_name("fit", 2): 880}]
    assert [found(store, one, late[8], 1) for one in (before, after)] == [[808], [808]]


def test_an_index_is_made_anew_for_vectors_of_another_fit_and_none_of_the_old_fit_is_found(store):
    old, _ = write(store, clustered(800))
    new, changed = write(store, clustered(800, seed=2), fit="other fit")

    assert changed
    assert list(indices_of(store.open(TABLE))) == [index_name("other fit", 3)]
    assert list(indices_of(store.open(TABLE, old.versions[TABLE]))) == [index_name("fit", 2)]
    for release, fit, seed in ((old, "fit", 0), (new, "other fit", 2)):
        vectors = clustered(800, seed)
        for exact in (True, False):
            near = [found(store, release, vectors[place], 10, fit, exact=exact) for place in (0, 7, 500)]
            by_hand = [nearest_by_hand(vectors, vectors[place], 10) for place in (0, 7, 500)]
            assert np.mean([len({*a} & {*b}) / 10 for a, b in zip(near, by_hand, strict=True)]) >= 0.95
            assert [one[0] for one in near] == [0, 7, 500]


def test_partitions_are_made_anew_when_vectors_are_four_times_as_many(store):
    write(store, clustered(1_000))
    write(store, clustered(2_000, seed=1), start=1_000)
    three_times = list(indices_of(store.open(TABLE)))
    write(store, clustered(1_000, seed=2), start=3_000)

    assert (three_times, list(indices_of(store.open(TABLE)))) == ([index_name("fit", 2)], [index_name("fit", 8)])


def test_an_index_survives_joined_files_and_a_store_with_one_is_verified_whole(disk):
    store = disk
    release, _ = write(store, clustered(800))
    with store.writer("a test") as writer:
        for start in range(800, 812):
            write_vectors(writer, NAME, "fit", [f"t{start}"], -clustered(1, seed=start))
        writer.compact(TABLE)
        joined = publish(writer, {})

    late = -clustered(1, seed=803)[0]
    assert len(store.open(TABLE).get_fragments()) < 13
    assert (probes(store, release), probes(store, joined)) == (1, 1)
    assert found(store, joined, late, 1) == [803]
    assert (verify(store).whole, verify(store).findings) == (True, ())


def test_a_table_that_is_written_anew_without_some_vectors_has_its_index_in_every_version(disk, tmp_path):
    first, _ = write(disk, clustered(800))
    second, _ = write(disk, clustered(100, seed=1), start=800)
    staged = Store(tmp_path / "staged")
    versions = {one.name: one.versions[TABLE] for one in (first, second)}

    new = clean_table(disk, staged, TABLE, versions, lambda _, rows: rows["text_key"] != "t8")

    for release, rows in ((first, 799), (second, 899)):
        moved = replace(release, versions={TABLE: new[release.versions[TABLE]]})
        assert indices_of(staged.open(TABLE, moved.versions[TABLE])) == {index_name("fit", 2): rows}
        assert found(staged, moved, clustered(800)[8], 1) != [8]
        assert found(staged, moved, clustered(800)[16], 1) == [16]


def test_a_table_that_is_written_anew_has_in_each_version_the_index_of_that_version_and_no_older_one(disk, tmp_path):
    first, _ = write(disk, clustered(800))
    second, _ = write(disk, clustered(800, seed=2), fit="other fit")
    staged = Store(tmp_path / "staged")
    versions = {one.name: one.versions[TABLE] for one in (first, second)}

    new = clean_table(disk, staged, TABLE, versions, lambda _, rows: rows["text_key"] != "t8")

    inside = [[*indices_of(staged.open(TABLE, new[one.versions[TABLE]]))] for one in (first, second)]
    assert inside == [[index_name("fit", 2)], [index_name("other fit", 3)]]


def test_an_old_index_that_a_killed_run_has_left_is_dropped_by_the_next_run(disk, monkeypatch):
    write(disk, clustered(800))
    with monkeypatch.context() as patched:
        patched.setattr(lance.LanceDataset, "drop_index", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            write(disk, clustered(800, seed=2), fit="other fit")
    left = {*indices_of(disk.open(TABLE))}

    _, changed = write(disk, clustered(1, seed=3), fit="other fit", start=5_000)

    assert left == {index_name("fit", 2), index_name("other fit", 3)}
    assert (changed, [*indices_of(disk.open(TABLE))]) == (True, [index_name("other fit", 3)])


@pytest.mark.parametrize("limit", [10**9, 2**70])  # LanceDB dies of the first with an index
def test_more_vectors_than_there_are_can_be_asked_for(disk, limit):
    release, _ = write(disk, clustered(800))

    assert len(found(disk, release, clustered(800)[3], limit, exact=True)) == 800
    assert found(disk, release, clustered(800)[3], limit)[0] == 3


def test_a_damaged_index_is_left_out_by_a_repair_and_made_again_by_the_next_run(disk):
    write(disk, clustered(800))
    file = max((disk.path(TABLE) / "_indices").rglob("*.idx"), key=lambda one: one.stat().st_size)
    file.write_bytes(file.read_bytes()[:-1] + b"?")

    damaged, steps = verify(disk), repair(disk, "a test")
    without = disk.open(TABLE)
    vectors, (release, made) = clustered(800), write(disk, clustered(1, seed=5), start=800)

    assert not damaged.whole
    assert any(f"the index {index_name('fit', 2)} is left out" in step.what for step in steps)
    assert (indices_of(without), without.count_rows(), made) == ({}, 800, True)
    assert (probes(disk, release), found(disk, release, vectors[3], 1)) == (1, [3])
    assert verify(disk).whole
