"""knowflow examples: half liked, half not, all of them earlier, and the same for scripts."""

import json


def test_examples_are_shown_with_their_reasonings_and_told_to_scripts(examples_shop, plain_knowflow):
    asked = ["--config", str(examples_shop.config), "--user", "u3", "--item", "i7", "--time", "2024-01-02"]

    shown = plain_knowflow.run("examples", *asked)
    told = plain_knowflow.run("examples", *asked, "--json")
    early = plain_knowflow.run("examples", *asked[:-1], "2023-01-01")

    assert shown.returncode == told.returncode == early.returncode == 0, shown.stderr + told.stderr
    found = json.loads(told.stdout)
    assert [example["label"] for example in found["examples"]] == [1, 1, 0, 0]
    assert (found["release"], found["lacking"]) == ("rel-000001", 0)
    head, *lines = shown.stdout.splitlines()
    assert head == "user u3, Thing 7, 2024-01-02 00:00 UTC: 4 examples of 4"
    assert [line.split()[0] for line in lines[::2]] == ["liked", "liked", "not", "not"]
    assert [line.strip() for line in lines[1::2]] == [example["text"] for example in found["examples"]]
    assert early.stdout == "user u3, Thing 7, 2023-01-01 00:00 UTC: 0 examples of 4\n"
    assert early.stderr == "4 missing: release rel-000001 has too few earlier examples\n"


def test_what_is_not_there_is_told_in_words(examples_shop, shop, plain_knowflow):
    config = ["--config", str(examples_shop.config), "--user", "u3"]

    item = plain_knowflow.run("examples", *config, "--item", "nothing")
    time = plain_knowflow.run("examples", *config, "--item", "i7", "--time", "soon")
    shop.ask("item_facts")
    none = plain_knowflow.run("examples", "--config", str(shop.config), "--user", "u1", "--item", "i1")

    assert (item.returncode, item.stdout) == (2, "")
    assert item.stderr.startswith("--item: the data has no item 'nothing'\n  give an item by its id")
    assert (time.returncode, time.stderr.splitlines()[0]) == (2, "--time: 'soon' is not a time")
    assert none.returncode == 2
    assert "nothing has been released yet\n  make one: knowflow refresh" in none.stderr
