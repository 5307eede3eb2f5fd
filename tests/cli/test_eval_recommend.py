"""knowflow eval recommend: a table for people, JSON for scripts, a page for both, and faults in words."""

import json


def test_a_table_json_and_a_page(make_shop, plain_knowflow, tmp_path):
    shop, page = make_shop(items=60, users=25, events=20), tmp_path / "deep" / "page.html"
    config = ["--config", str(shop.config), "--model", "cooccurrence"]

    shown = plain_knowflow.run("eval", "recommend", *config, "--set", "cooccurrence.history=5")
    told = plain_knowflow.run("eval", "recommend", *config, "--json", "--page", str(page))

    assert shown.returncode == told.returncode == 0, shown.stderr + told.stderr
    result = json.loads(told.stdout)
    assert list(result["models"]) == ["popularity", "cooccurrence", "random"]
    assert "The best of 3 models by ndcg@10 is " in shown.stdout
    assert "against popularity" in page.read_text()
    assert (shop.folder / "runs" / "recommend.html").is_file()
    assert (shop.folder / "runs" / "recommenders" / "cooccurrence" / "model.safetensors").is_file()


def test_wrong_options_are_told_all_at_once(shop, plain_knowflow):
    done = plain_knowflow.run("eval", "recommend", "--config", str(shop.config), "--set", "x=1", "--set", "a.b")

    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "--set x=1: should be MODEL.OPTION=VALUE",
        "--set a.b: should be MODEL.OPTION=VALUE",
        "  example: --set cooccurrence.history=20",
    ]


def test_an_unknown_recommender_is_told_with_those_there_are(shop, plain_knowflow):
    done = plain_knowflow.run("eval", "recommend", "--config", str(shop.config), "--model", "nobody")

    assert done.returncode == 2
    assert done.stderr.startswith("no such recommender: nobody\n  there are: ")


def test_options_of_knowflow_yaml_count_and_those_of_the_command_line_override_them(make_shop, plain_knowflow):
    shop = make_shop(items=60, users=25, events=20, recommenders={"cooccurrence": {"history": 5}})
    call = ("eval", "recommend", "--config", str(shop.config), "--model", "cooccurrence", "--json")

    configured = json.loads(plain_knowflow.run(*call).stdout)
    overridden = json.loads(plain_knowflow.run(*call, "--set", "cooccurrence.history=7").stdout)

    assert configured["options"]["cooccurrence"] == {"history": 5}
    assert overridden["options"]["cooccurrence"] == {"history": 7}
