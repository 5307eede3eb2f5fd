"""knowflow lookup: shows what a training sample at a moment would have seen of a user, an item or a query."""

from dataclasses import asdict
from typing import Annotated, Literal

from cyclopts import Parameter

from app.config import load_config
from app.workplace import open_store
from cli.moment import moment_of
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, TaskNames, print_json, print_line, printable, say
from feature_store.lineage import EPOCH
from feature_store.lookup import SeenText, look_up
from feature_store.releases import get_release


def lookup(
    kind: Annotated[Literal["user", "item", "query"], Parameter(help="What the id names.")],
    entity: Annotated[str, Parameter(help="Its id, as in the data.")],
    *,
    as_of: Annotated[
        str | None, Parameter(help="Time of the sample, such as 2018-09-24T10:00:00 (UTC); default: after all events.")
    ] = None,
    task: TaskNames = None,
    release: Annotated[str | None, Parameter(help="Name of a release; default: the current one.")] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    json: AsJson = False,
) -> int:
    """Show what a sample at a moment would have seen of a user, an item or a query, with the prompts and answers.

    Of each technique it is the newest text that was known strictly before the moment.

    Example: knowflow lookup user 42 --as-of 2018-01-01
    """
    moment = moment_of("--as-of", as_of)
    store = open_store(load_config(config))
    chosen = get_release(store, release)
    found = look_up(store, chosen, kind, entity, moment)
    texts = [one for one in found.texts if task is None or one.task in task]
    later = {name: time for name, time in found.later.items() if task is None or name in task}
    if json:
        print_json({"release": chosen.name, "as_of": moment, "texts": [asdict(one) for one in texts], "later": later})
        return 0
    when = f"at {moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "after all events"
    print_line(f"{kind} {printable(entity)} {when}, by {chosen.name}")
    for one in texts:
        _print_text(one)
    for name, time in later.items():
        say(f"{name}: nothing was known yet; its first text is known after {time:%Y-%m-%d %H:%M:%S} UTC")
    if not texts and not later:
        say("nothing by these techniques; leave --task out to see all")
    return 0


def _print_text(one: SeenText) -> None:
    known = f", known after {one.as_of:%Y-%m-%d %H:%M:%S} UTC" if one.as_of > EPOCH else ", known from the start"
    print_line(f"\n== {one.task}{known}, made {one.created_at:%Y-%m-%d %H:%M:%S} UTC")
    for vectors in one.vectors:
        if not vectors.visible:
            since = f"{vectors.known_from:%Y-%m-%d %H:%M:%S}"
            print_line(f"vectors {vectors.encoder}: not seen, the encoder has learnt from events until {since} UTC")
    if one.prompt is None:
        print_line("no model was asked")
    else:
        print_line(f"prompt {one.prompt}, answered by {one.model}")
        for message in one.messages:
            print_line(f"[{message['role']}]\n{_shown(message['content'])}")
        print_line(f"[answer]\n{_shown(one.answer or '')}")
    print_line(f"[encoded]\n{_shown(one.text)}")


def _shown(text: str) -> str:
    return "\n".join(map(printable, text.splitlines()))
