"""The maintain flow: old releases go while the store is whole, and nothing goes when a file is damaged."""

import pytest

from app.config import load_config
from app.verified import last_verification
from base.faults import CheckFailed
from feature_store.releases import list_releases, publish
from flows.maintain import maintain


@pytest.fixture
def kept(shop, prefect_server):
    """A shop with three releases, of which its config keeps two."""
    shop.ask("kar_item")
    with shop.place().store.writer("a test") as writer:
        for _ in range(3):
            publish(writer, {})
    shop.configure(keep={"releases": 2, "days": 0})
    return shop


def test_old_releases_go_and_the_sizes_are_an_artifact(kept, prefect_has):
    dropped = maintain(config=str(kept.config))

    seen = prefect_has(f"maintain {kept.config}")
    assert dropped == ["rel-000001"]
    assert [one.name for one in list_releases(kept.place().store)] == ["rel-000002", "rel-000003"]
    assert seen.artifacts["verify"].description.startswith("0 damaged of ")
    assert '"dropped": 1, "kept": 2' in seen.artifacts["releases"].data


def test_a_damaged_file_ends_the_run_before_anything_is_dropped(kept):
    (file, *_) = sorted(kept.place().store.path("answers").glob("data/*.lance"))
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 0xFF
    file.write_bytes(bytes(content))

    assert last_verification(load_config(kept.config)) is None
    with pytest.raises(CheckFailed, match=rf"(?s)files of the store are damaged: .*{file.name}.*knowflow repair"):
        maintain(config=str(kept.config))

    assert len(list_releases(kept.place().store)) == 3
    noted = last_verification(load_config(kept.config))  # as `knowflow doctor` shows it
    assert noted is not None
    assert noted.damaged == 1
