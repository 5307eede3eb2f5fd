"""A task's LoRA adapter: part of the model's identity and of every key, found once, and told when it is not there."""

import json

import pytest

from base.faults import WrongUse
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.plan import plan_task


def save_adapter(folder, weights: bytes = b"weights") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8}))
    (folder / "adapter_model.safetensors").write_bytes(weights)


def with_adapter(shop, **adapter):
    shop.configure(
        tasks={
            "kar_item": {"adapter": {"name": "films", "path": "adapters/films", "seen_until": "none", **adapter}},
            "kar_user": {},
        }
    )
    return shop.place()


def requests(place, task: str = "kar_item") -> list:
    return list(plan_task(find_tasks()[task], place).spool.requests())


def test_a_task_without_an_adapter_is_answered_by_the_model_as_it_is(shop):
    place = shop.place()

    assert place.adapter_of(find_tasks()["kar_item"]) is None
    assert place.identity_of(find_tasks()["kar_item"]) == place.engine.identity
    assert {request.adapter for request in requests(place)} == {None}


def test_an_adapter_is_part_of_its_task_s_identity_and_of_no_other_s(shop):
    save_adapter(shop.folder / "adapters" / "films")
    place = with_adapter(shop, revision="3")

    identity = place.identity_of(find_tasks()["kar_item"])

    assert (identity.model, identity.revision, identity.adapter) == ("scripted", "1", "films@3")
    assert place.identity_of(find_tasks()["kar_user"]) == place.engine.identity
    adapter = place.adapter_of(find_tasks()["kar_item"])
    assert adapter is not None
    assert (adapter.name, adapter.revision, adapter.path) == (
        "films",
        "3",
        str((shop.folder / "adapters" / "films").resolve()),
    )
    assert {request.adapter for request in requests(place)} == {adapter}


def test_name_and_revision_of_an_adapter_are_in_the_key_and_its_place_on_the_disk_is_not(shop):
    for name in ("films", "moved"):
        save_adapter(shop.folder / "adapters" / name)
    keys = [
        {request.key for request in requests(place)}
        for place in (
            shop.place(),
            with_adapter(shop, revision="3"),
            with_adapter(shop, revision="4"),
            with_adapter(shop, revision="3", name="other"),
            with_adapter(shop, revision="3", path="adapters/moved"),
        )
    ]

    assert keys[1] == keys[4]
    assert len({frozenset(some) for some in keys}) == 4
    assert not keys[0] & keys[1] | keys[1] & keys[2] | keys[1] & keys[3]


def test_an_adapter_without_a_revision_is_known_by_its_files(shop):
    save_adapter(shop.folder / "adapters" / "films", b"one")
    save_adapter(shop.folder / "adapters" / "same", b"one")
    save_adapter(shop.folder / "adapters" / "trained", b"two")

    revisions = []
    for path in ("films", "same", "trained"):
        adapter = with_adapter(shop, path=f"adapters/{path}").adapter_of(find_tasks()["kar_item"])
        assert adapter is not None
        revisions.append(adapter.revision)

    assert revisions[0] == revisions[1] != revisions[2]
    assert all(len(revision) == 16 for revision in revisions)


def test_a_folder_that_holds_no_adapter_is_told_before_anything_is_asked(shop):
    place = with_adapter(shop)

    with pytest.raises(WrongUse, match=r"tasks\.kar_item\.adapter: .*films has no adapter_config\.json\n  set path to"):
        plan_task(find_tasks()["kar_item"], place)
    assert shop.calls() == []


def test_answers_are_kept_with_the_adapter_that_gave_them(shop):
    save_adapter(shop.folder / "adapters" / "films")
    with_adapter(shop, revision="3")

    done = shop.ask("kar_item")

    assert done.calls == 12
    assert {row["model"] for row in shop.lineage("kar_item").values()} == {"scripted@1@films@3"}
    with_adapter(shop, revision="4")
    assert shop.plan("kar_item").summary()["why"] == {"the model changed": 12}
