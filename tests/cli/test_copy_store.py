"""`knowflow copy-store`, here from folder to folder; `tests/app/test_bucket_elsewhere.py` copies to a bucket and back."""

import json


def test_a_copy_in_another_home_is_used_after_the_lines_it_prints_are_set(shop, plain_knowflow):
    config = ("--config", shop.config)
    name, before = shop.release("kar_item"), shop.store_bytes()

    copied = plain_knowflow.run("copy-store", "--to", shop.folder / "second", *config)
    same = {one: content for one, content in shop.store_bytes().items() if one.split("/")[0].endswith(".lance")}
    shop.configure(home="second")
    used = plain_knowflow.run("verify", *config)

    assert (copied.returncode, used.returncode) == (0, 0), copied.stderr + used.stderr
    assert copied.stdout.endswith("  home: second\n")
    assert "to use the copy, set in knowflow.yaml:" in copied.stderr
    assert f"{name}: " in used.stderr
    assert same.items() <= before.items()
    assert shop.plan("kar_item").count("cached") == 12


def test_it_prints_json_and_refuses_a_second_time(shop, plain_knowflow):
    shop.release("kar_item")
    words = ("copy-store", "--to", shop.folder / "second", "--config", shop.config, "--json")

    told, again = json.loads(plain_knowflow.run(*words).stdout), plain_knowflow.run(*words)

    assert (told["releases"], told["settings"], told["leave_out"]) == (["rel-000001"], ["home: second"], None)
    assert told["sent"] == told["files"] > 5
    assert again.returncode == 2
    assert "there is a copy of this store already" in again.stderr


def test_a_store_that_is_not_there_is_not_copied(shop, plain_knowflow):
    done = plain_knowflow.run("copy-store", "--to", shop.folder / "second", "--config", shop.config)

    assert done.returncode == 2
    assert "there is no store, so there is nothing to copy\n  make one: knowflow refresh" in done.stderr
    assert not (shop.folder / "second").exists()
