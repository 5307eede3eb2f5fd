"""knowflow migrate: brings a store of an older version up to date."""

from app.config import load_config
from app.workplace import open_store
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line, say
from feature_store.database import command_line
from feature_store.identity import FORMAT
from feature_store.migrations import migrate as run_steps


def migrate(*, config: ConfigPath = DEFAULT_CONFIG, json: AsJson = False) -> int:
    """Bring a store of an older version of KnowFlow up to date. Keeps everything in it; running it twice does no harm.

    Example: knowflow migrate --config examples/movielens/knowflow.yaml
    """
    store = open_store(load_config(config))
    steps = run_steps(store, command_line())
    if json:
        print_json({"store": str(store), "format": FORMAT, "steps": [step.what for step in steps]})
        return 0
    for step in steps:
        print_line(f"format {step.to}: {step.what}")
    say(f"{store}: is up to date (format {FORMAT})")
    return 0
