"""The wheel works from any folder: it is built, installed into an environment of its own, and runs a shop to its features."""

import os
import random
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import yaml

from knowflow_start import ROOMS

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "knowflow.py", "knowflow_start.py", *ROOMS)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A bare environment with the wheel installed; the libraries that it needs are linked, not installed again."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "sources").mkdir()
    for name in SOURCES:  # a copy, for pip builds in the folder of the sources
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / "sources" / name)
    quiet = ["--quiet", "--disable-pip-version-check", "--no-deps"]
    pip = [sys.executable, "-m", "pip"]
    run([*pip, "wheel", *quiet, "--no-build-isolation", "--wheel-dir", folder, folder / "sources"], folder)
    shutil.rmtree(folder / "sources")
    run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], folder)
    python = folder / "env" / "bin" / "python"
    run([*pip, "--python", python, "install", *quiet, "--no-index", *folder.glob("knowflow-*.whl")], folder)
    (site,) = folder.glob("env/lib/python3*/site-packages")
    # A line of a .pth file is a folder to import from; the .pth files in that folder, as that of this checkout, are not read.
    (site / "libraries.pth").write_text(str(Path(pytest.__file__).resolve().parents[1]) + "\n")
    return folder / "env" / "bin"


def run(command, folder, code=0):
    """Run a command as somebody does who has nothing but the environment; give all it wrote."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PREFECT", "KNOWFLOW"))}
    ended = subprocess.run(list(map(str, command)), cwd=folder, env=kept, capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.mark.timeout(1800)
@pytest.mark.slow(reason="builds a wheel, starts a dozen Pythons and a Prefect server")
def test_the_installed_wheel_runs_a_shop_from_an_empty_folder_to_its_features(environment, tmp_path):
    knowflow, chance = environment / "knowflow", random.Random(7)
    rows = [
        (
            f"u{user}",
            f"i{int(30 * chance.random() ** 2)}",
            datetime(2024, 1, 1) + timedelta(hours=n, minutes=user),
            1 + n % 5,
        )
        for user in range(40)
        for n in range(10)
    ]
    schema = ["user_id", "item_id", "timestamp", "rating"]
    pl.DataFrame(rows, schema=schema, orient="row").unique(["user_id", "item_id"]).write_csv(tmp_path / "events.csv")
    titles = [f"The {word} of {other}" for word in ("Heist", "Return", "End", "Song", "Shop") for other in "abcdef"]
    pl.DataFrame({"item_id": [f"i{n}" for n in range(30)], "title": titles}).write_csv(tmp_path / "items.csv")

    where = run(
        [environment / "python", "-c", "import knowflow, cli; print(knowflow.__file__, cli.__file__)"], tmp_path
    )
    assert str(ROOT) not in where
    assert where.count(str(environment.parent)) == 2
    assert "comes with the checkout" in run([knowflow, "demo"], tmp_path, code=2)
    assert "movielens" in run([knowflow, "init", "--from", "list"], tmp_path)
    run([knowflow, "init", "shop", "--events", "events.csv", "--items", "items.csv"], tmp_path)
    config = tmp_path / "shop" / "knowflow.yaml"
    settings = yaml.safe_load(config.read_text())
    settings["train"] = {"seeds": [0], "backbone": "lr", "rolling": [], "search": []}
    settings["encoders"] = {"lexical": {"kind": "lexical", "dimension": 4}}
    config.write_text(yaml.safe_dump(settings))
    at = ["--config", "shop/knowflow.yaml"]
    assert "kar_item" in run([knowflow, "plan", *at], tmp_path)
    assert "The Heist of a" in run([knowflow, "preview", "kar_item", "--entity", "i0", *at], tmp_path)
    assert "released rel-000001" in run([knowflow, "refresh", "--task", "item_facts", *at], tmp_path)
    assert "train-000001" in run([knowflow, "train", "--arms", "base", *at], tmp_path)
    run([knowflow, "search-settings", "--trials", "1", *at], tmp_path)
    assert (tmp_path / "shop" / "train-settings.yaml").read_text().count("learning_rate") == 1
    code = "import knowflow as kf; print(kf.open('shop/knowflow.yaml').similar('i0', k=3, encoder='lexical').height)"
    assert run([environment / "python", "-c", code], tmp_path) == "3\n"
    pl.DataFrame({"user": ["u1"], "item": ["i0"]}).write_parquet(tmp_path / "rows.parquet")
    run([knowflow, "features", "--rows", "rows.parquet", "--out", "features.parquet", *at], tmp_path)
    assert pl.read_parquet(tmp_path / "features.parquet").width > 2
    run([knowflow, "score", "--rows", "rows.parquet", "--out", "scores.csv", "--model", "base", *at], tmp_path)
    assert pl.read_csv(tmp_path / "scores.csv").columns == ["user", "item", "score"]


@pytest.mark.slow(reason="installs pandas from the package index into the environment")
def test_frames_of_pandas_are_taken_although_pandas_is_no_dependency(environment, make_shop, tmp_path):
    shop = make_shop(tasks={"item_facts": {}})
    shop.release("item_facts")
    pip = [sys.executable, "-m", "pip", "--python", environment / "python", "install", "--quiet", "--no-deps"]
    run([*pip, "--disable-pip-version-check", "pandas>=2.2"], tmp_path)
    code = (
        "import sys, pandas as pd, knowflow as kf\n"
        "rows = pd.DataFrame({'user': ['u1', 'u2'], 'item': ['i7', None], 'time': pd.to_datetime(['2024-02-01', None])})\n"
        "made = kf.open(sys.argv[1]).features(rows.set_index([[5, 6]]))\n"
        "print(made.columns, made['item_facts_lexical'].is_null().to_list(), type(made).__module__)"
    )

    said = run([environment / "python", "-c", code, shop.config], tmp_path)

    assert said.startswith("['user', 'item', 'time', 'item_facts_lexical', 'knowflow_release'] [False, True] polars.")
