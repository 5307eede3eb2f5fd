"""The weekly-tune flow: a folder a week, what the recipe says as an artifact, and nothing begun for wrong input."""

from datetime import UTC, datetime, timedelta

import pytest

from base.faults import WrongUse
from base.plugins import UnknownPlugin
from flows.weekly_tune import weekly_tune

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def films(make_shop):
    """30 films of three kinds; each of 12 users likes one kind alone, in an order of their own."""
    shop, start = make_shop(items=30), datetime(2024, 1, 1, tzinfo=UTC)
    shop.write_events(
        [
            (f"u{user}", f"i{3 * ((place * (user + 1)) % 10) + user % 3}", start + timedelta(hours=place), 5.0)
            for user in range(12)
            for place in range(10)
        ]
    )
    return shop


def test_a_week_has_a_folder_that_a_second_run_finds_done_and_says_what_it_learnt(films, prefect_has):
    options = {"epochs": 1, "batch_pairs": 16, "hold_out": 0.2}

    made = weekly_tune(config=str(films.config), options=options)
    files = {path: path.stat().st_mtime_ns for path in (films.folder / "runs" / "tuned").rglob("*") if path.is_file()}
    again = weekly_tune(config=str(films.config), options=options)

    week = datetime.now(UTC).strftime("%G-w%V")
    assert made == again == str(films.folder / "runs" / "tuned" / "encoder" / week)
    weights = [path for path in files if path.suffix == ".safetensors"]
    assert weights
    assert all(path.stat().st_mtime_ns == files[path] for path in weights)  # nothing was learnt anew
    artifact = prefect_has(f"weekly-tune encoder {films.config}").artifacts["tuned-encoder"]
    assert "tuned model (projection)" in artifact.data
    assert "| recall@10 |" in artifact.data
    assert f"encoders: {{note: {{kind: dense, model: {made}, pooling: mean}}}}" in artifact.data


def test_wrong_input_is_named_before_anything_is_begun(films):
    with pytest.raises(UnknownPlugin, match="no such recipe: encodr"):
        weekly_tune(config=str(films.config), recipe="encodr")
    with pytest.raises(WrongUse, match=r"encoder: option hold_out: .*\n  see: knowflow tune encoder --help"):
        weekly_tune(config=str(films.config), options={"hold_out": 2})
    with pytest.raises(WrongUse, match="the recipe sft needs the model to tune"):
        weekly_tune(config=str(films.config), recipe="sft")
    assert not (films.folder / "runs" / "tuned").exists()
