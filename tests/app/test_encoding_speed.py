"""How long encoding will take: by the newest runs of the same encoder and technique on this machine, and by no others."""

import json

import pytest

from app.config import load_config
from app.encoding import encode_texts
from app.encoding_speed import FILE, RECENT, expected_encoding, note_speeds
from app.workplace import plan
from base.faults import WrongUse
from base.progress import silent


def did(new: int, seconds: float, start_seconds: float = 0.0, task: str = "item_facts") -> dict:
    return {"task": task, "encoder": "lexical", "new": new, "seconds": seconds, "start_seconds": start_seconds}


def expected(shop):
    config = load_config(shop.config)
    (one,) = expected_encoding(config, plan(config, ["item_facts"]))
    return one


def test_without_a_past_run_the_time_is_not_known(shop):
    one = expected(shop)

    assert (one.task, one.encoder, one.texts) == ("item_facts", "lexical", 12)
    assert (one.seconds_estimate, one.start_seconds_estimate) == (None, None)


def test_the_time_of_a_text_is_that_of_the_newest_runs_weighed_by_their_texts(shop):
    config = load_config(shop.config)
    config.home_folder.mkdir()
    note_speeds(config, [did(1, 1e6)])
    for place in range(RECENT):
        note_speeds(config, [did(10 + place, 3.0, start_seconds=float(place)), did(0, 0.0)])

    one = expected(shop)

    # 12 texts at 5 x 3 s for 10 + 11 + 12 + 13 + 14 texts
    assert one.seconds_estimate == pytest.approx(12 * 15 / 60)
    assert one.start_seconds_estimate == 4.0


@pytest.mark.parametrize("other", ["task", "settings", "machine"])
def test_runs_of_other_techniques_and_settings_and_machines_do_not_count(shop, monkeypatch, other):
    config = load_config(shop.config)
    config.home_folder.mkdir()
    note_speeds(config, [did(10, 3.0, task="kar_item" if other == "task" else "item_facts")])
    if other == "settings":
        shop.configure(encoders={"lexical": {"kind": "lexical", "dimension": 3}})
    if other == "machine":
        monkeypatch.setattr("platform.node", lambda: "elsewhere")

    assert expected(shop).seconds_estimate is None


def test_an_encoding_is_noted_and_the_next_plan_goes_by_it(shop):
    shop.ask("item_facts")
    (made,) = encode_texts(load_config(shop.config), ["item_facts"], silent)
    shop.write_items({f"i{place}": f"Thing {place}" for place in range(14)})  # two more

    one = expected(shop)

    assert (one.texts, made["new"]) == (2, 12)
    assert one.seconds_estimate == pytest.approx(2 * made["seconds"] / 12)
    assert one.start_seconds_estimate == made["start_seconds"] > 0


def test_a_run_that_encoded_nothing_is_not_noted(shop):
    shop.ask("item_facts")
    encode_texts(load_config(shop.config), ["item_facts"], silent)
    noted = (file := load_config(shop.config).home_folder / FILE).read_text()

    encode_texts(load_config(shop.config), ["item_facts"], silent)

    assert file.read_text() == noted
    assert [len(runs) for runs in json.loads(noted).values()] == [1]


@pytest.mark.parametrize("damage", ["{", "[]"])
def test_a_damaged_note_says_what_to_do_and_stops_no_refresh(shop, damage, caplog):
    shop.ask("item_facts")
    config = load_config(shop.config)
    (config.home_folder / FILE).write_text(damage)

    with pytest.raises(WrongUse, match=r"encoding_speed.json: is damaged\n  delete it"):
        expected(shop)
    assert encode_texts(config, ["item_facts"], silent)[0]["new"] == 12
    assert "encoding_speed.json: is damaged; it is begun anew" in caplog.text
    assert expected(shop).texts == 0
