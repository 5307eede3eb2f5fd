"""knowflow recommend: what a kept recommender names for one user."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from app.config import load_config
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_table, printable, say


def recommend(
    user: Annotated[str, Parameter(help="Id of a user.")],
    /,
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    recommender: Annotated[
        str, Parameter(help="A recommender that `knowflow eval recommend` has fitted.")
    ] = "cooccurrence",
    k: Annotated[int, Parameter(name=["-k", "--k"], help="How many items.", validator=Number(gte=1))] = 10,
    as_of: Annotated[
        datetime | None, Parameter(help="The moment, such as 2018-05-01; UTC. Default: now.", show_default=False)
    ] = None,
    json: AsJson = False,
) -> int:
    """Show what a recommender names for a user, of all items that the user has not had.

    The user's history is what the log holds strictly before the moment; the recommender is as it was fitted.

    Example: knowflow recommend 7 --recommender star --config examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    from app.recommending import recommend_items  # noqa: PLC0415 - takes a second to import

    found = recommend_items(settings, user, recommender, k, as_of)
    if json:
        print_json({**asdict(found), "as_of": found.as_of.isoformat()})
        return 0
    if found.fitted_later:
        say(f"{recommender} was fitted on events until {found.seen_until}, later than the moment that is asked")
    if not found.events:
        say(f"the log holds no events of {printable(user)} before the moment: this is what any new user gets")
    rows = [[one["item"], printable(one["title"] or ""), f"{one['score']:.4g}"] for one in found.items]
    title = f"for {printable(user)} by {recommender}, {found.as_of:%Y-%m-%d %H:%M}, after {found.events:,} events"
    print_table(title, ["item", "title", "score"], rows, text_columns=2)
    return 0
