"""The levers of the page on capacity do what it says."""

from datetime import timedelta

import polars as pl

from tests.conftest import START


def test_users_who_are_due_are_asked_about_and_the_others_keep_their_older_text(shop):
    shop.configure(tasks={"kar_user": {"encoders": []}})
    shop.ask("kar_user")
    later = START + timedelta(days=900)
    shop.write_events([*shop.events(), ("u0", "i1", later, 5.0), ("u1", "i1", later, 5.0)])
    both = shop.plan("kar_user")
    pl.DataFrame({"user": ["u1"]}).write_csv(shop.folder / "due.csv")
    shop.configure(tasks={"kar_user": {"encoders": [], "only": {"path": "due.csv", "column": "user"}}})

    due = shop.plan("kar_user")
    shop.ask("kar_user")

    assert (len(both.asks), len(due.asks)) == (2, 1)
    newest = {
        row["entity"]: row["as_of"] for row in sorted(shop.lineage("kar_user").values(), key=lambda row: row["as_of"])
    }
    assert newest["u1"] == later
    assert START <= newest["u0"] < later
    assert all(row["text"] for row in shop.lineage("kar_user").values())
