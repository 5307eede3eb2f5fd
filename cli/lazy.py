"""The commands by name: import path, line of help, example. Importing them all would add seconds to every call."""

from typing import NamedTuple


class Command(NamedTuple):
    """One command."""

    target: str
    """Import path of its function."""
    summary: str
    """One line of help."""
    example: str
    """A working call."""
    own_help: bool = False
    """Whether its function handles `--help` itself, because the help depends on the config."""


MOVIELENS = "--config examples/movielens/knowflow.yaml"
COMMANDS = {
    "demo": Command(
        "cli.demo:demo", "Run the whole pipeline on MovieLens small, from events to a report.", "knowflow demo"
    ),
    "init": Command(
        "cli.init:init",
        "Write a commented knowflow.yaml for your own data, by looking at its columns.",
        "knowflow init shop --events events.csv --items items.csv",
    ),
    "models": Command(
        "cli.models:app",
        "List the models on this machine; fetch a small one, or convert a GGUF file.",
        "knowflow models fetch smollm2",
    ),
    "plan": Command(
        "cli.plan:plan",
        "Show what a refresh would ask and encode, why, and what that costs. Writes nothing.",
        f"knowflow plan {MOVIELENS}",
    ),
    "capacity": Command(
        "cli.capacity:capacity_command",
        "Compute what a number of users takes: tokens, GPU hours, money, CPU time, memory and disk.",
        "knowflow capacity --users 1000000",
    ),
    "preview": Command(
        "cli.preview:preview",
        "Show one prompt as the model would get it, with its tokens. Asks nothing.",
        f"knowflow preview kar_item --entity 318 {MOVIELENS}",
    ),
    "prompts": Command(
        "cli.prompts.app:app",
        "List, show and change the versions of prompts.",
        f"knowflow prompts list {MOVIELENS}",
    ),
    "refresh": Command(
        "cli.refresh:refresh",
        "Ask what is new, encode it, publish a release. After an interruption, it continues where it stopped.",
        f"knowflow refresh {MOVIELENS} --task kar_user",
    ),
    "migrate": Command(
        "cli.migrate:migrate",
        "Bring a store of an older version of KnowFlow up to date. Keeps everything in it.",
        f"knowflow migrate {MOVIELENS}",
    ),
    "copy-store": Command(
        "cli.copy_store:copy_store",
        "Copy a store from its folder to a bucket, or back; every release reads the same from the copy.",
        f"knowflow copy-store --to s3://knowledge/shop {MOVIELENS}",
    ),
    "verify": Command(
        "cli.verify:verify",
        "Read every table of every release whole and check it against its checksums; exit code 1 if one is damaged.",
        f"knowflow verify {MOVIELENS} --release rel-000001",
    ),
    "repair": Command(
        "cli.repair:repair",
        "Restore a damaged store from what is whole: first the plan; --yes does it.",
        f"knowflow repair {MOVIELENS}",
    ),
    "forget": Command(
        "cli.forget:forget_users",
        "Delete what is known of users, in every release: first the plan; --yes does it and leaves a receipt.",
        f"knowflow forget 7 {MOVIELENS}",
    ),
    "retry": Command(
        "cli.retry:retry",
        "Ask again for rows with a recorded error, and for no others.",
        f"knowflow retry {MOVIELENS} --error parse",
    ),
    "train": Command(
        "cli.train:train",
        "Train arms on a release, several seeds each, and compare them.",
        f"knowflow train {MOVIELENS} --arms base,facts,knowledge",
    ),
    "score": Command(
        "cli.score:score",
        "Score pairs of users and items with a kept model.",
        f"knowflow score --rows pairs.parquet --out scores.parquet --model knowledge {MOVIELENS}",
    ),
    "features": Command(
        "cli.features:features",
        "Add to your rows what a release knew strictly before each: vectors, codes, fields, ages.",
        f"knowflow features {MOVIELENS} --rows impressions.parquet --out features.parquet",
    ),
    "search-settings": Command(
        "cli.search_settings:search_settings",
        "Search settings of training on validation rows; after an interruption, it continues where it stopped.",
        f"knowflow search-settings {MOVIELENS} --trials 30",
    ),
    "export": Command(
        "cli.export:export",
        "Write what a release knows of items and users for other tools: Parquet, Feast, RecBole and so on.",
        f"knowflow export {MOVIELENS} --format feast --out feast_repo",
    ),
    "export-model": Command(
        "cli.export_model:export_model",
        "Export a kept model with the features of a release, to answer requests without the log.",
        f"knowflow export-model --model knowledge {MOVIELENS}",
    ),
    "report": Command(
        "cli.report:report", "Write report.html and report.json of a training run.", f"knowflow report {MOVIELENS}"
    ),
    "tune": Command(
        "cli.tune:tune",
        "Tune a model by a recipe: a language model on events, on rewrites of queries, or an encoder of items.",
        f"knowflow tune sft {MOVIELENS} --model models/Qwen3-0.6B --out adapters/recgen",
        own_help=True,
    ),
    "examples": Command(
        "cli.examples:examples",
        "Show the in-context examples that a user and an item would get, with their reasonings.",
        f"knowflow examples {MOVIELENS} --user 7 --item 318",
    ),
    "rewrites": Command(
        "cli.rewrites:rewrites",
        "Ask for rewrites of new and changed queries, rank them by search, serve them in a release.",
        f"knowflow rewrites {MOVIELENS}",
    ),
    "rewrite": Command(
        "cli.rewrite:rewrite",
        "Show what to search for instead of a query; the query itself when it has no rewrites.",
        f'knowflow rewrite "scifi w/ time travel" {MOVIELENS}',
    ),
    "lookup": Command(
        "cli.lookup:lookup",
        "Show what a sample at a moment would have seen of a user, an item or a query, with prompts and answers.",
        f"knowflow lookup user 42 --as-of 2018-01-01 {MOVIELENS}",
    ),
    "similar": Command(
        "cli.similar:similar",
        "Show the items nearest to an item, by the vectors of a release.",
        f'knowflow similar "Heat" {MOVIELENS}',
    ),
    "search": Command(
        "cli.search:search",
        "Find items by a text, using the words of their documents and near vectors.",
        f'knowflow search "a heist that goes wrong" {MOVIELENS}',
    ),
    "recommend": Command(
        "cli.recommend:recommend",
        "Show the items that a fitted recommender names for a user.",
        f"knowflow recommend 7 --recommender star {MOVIELENS}",
    ),
    "codes": Command(
        "cli.codes:codes",
        "Make codes of released vectors, such as semantic ids, and publish them in a new release.",
        f"knowflow codes rqvae --vectors item_facts/dense {MOVIELENS}",
    ),
    "simulate": Command(
        "cli.simulate:simulate",
        "Let agents that a language model plays walk through pages that a kept model ranks; the data stays as it is.",
        f"knowflow simulate knowledge {MOVIELENS}",
    ),
    "eval": Command(
        "cli.eval:app",
        "Measure what rewrites of queries, vectors of items and recommenders are worth.",
        f"knowflow eval rewrites {MOVIELENS}",
    ),
    "leak-check": Command(
        "cli.leak_check:leak_check",
        "Check a release, all of it unless you say --new; exit code 1 when a sample sees what it could not have known.",
        f"knowflow leak-check {MOVIELENS} --release rel-000001",
    ),
    "release": Command(
        "cli.release:app",
        "List and show releases, or make an older one current again.",
        f"knowflow release list {MOVIELENS}",
    ),
    "doctor": Command(
        "cli.doctor:doctor",
        "Look at everything that scheduled runs need, and name the command for what is wrong.",
        f"knowflow doctor {MOVIELENS}",
    ),
    "ops": Command(
        "cli.ops:app",
        "Prepare the Prefect server for scheduled runs: work pool, automations, alarms.",
        "knowflow ops setup --dry-run",
    ),
    "status": Command(
        "cli.status:status",
        "Show what is in the store, and where the newest report is.",
        f"knowflow status {MOVIELENS}",
    ),
}
RENAMED = {"tune-encoder": ("tune", "encoder"), "tune-rewrites": ("tune", "rewrites")}
"""Commands of earlier versions -> their present names."""
