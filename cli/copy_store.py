"""knowflow copy-store: copies a store from its folder to a bucket, or back."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from app.config import load_config
from app.copy_target import copy_target, settings_for
from app.progress import progress
from app.workplace import open_store
from base.faults import WrongUse
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, bars, print_json, print_line, say
from feature_store.copy_store import copy_store as copy
from feature_store.database import command_line


def copy_store(
    *,
    to: Annotated[str, Parameter(help="s3://BUCKET/PREFIX, as for store.url, or a folder, as for home.")],
    endpoint: Annotated[str | None, Parameter(help="Address of a service other than AWS.")] = None,
    region: Annotated[str | None, Parameter(help="Region of the bucket; AWS_REGION if not given.")] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    json: AsJson = False,
) -> int:
    """Copy a store from its folder to a bucket, or back. Every release reads the same from the copy.

    Nothing else writes to the store meanwhile. All files are compared by checksum at the end, and then also releases,
    tags and rows of every version. Until then the copy is no store. After an interruption, the same command goes on.
    knowflow.yaml and the old store stay as they are; the lines to change are printed.

    Example: knowflow copy-store --to s3://knowledge/shop --endpoint http://minio:9000
    """
    settings = load_config(config)
    store, target = open_store(settings), copy_target(settings, to, endpoint, region)
    if store.place.identity() is None and not store.on_disk():
        raise WrongUse(f"{store}: there is no store, so there is nothing to copy\n  make one: knowflow refresh")
    with bars(), store.writer(command_line()) as writer:
        made = copy(writer, target, command_line(), progress())
    lines = settings_for(settings, target, to, endpoint, region)
    gone = "store:" if settings.store is not None and target.bucket is None else None
    if json:
        print_json({"from": str(store), "to": str(target), **asdict(made), "settings": lines, "leave_out": gone})
        return 0
    print_line(
        f"copied to {target}: {made.tables:,} tables, {made.files:,} files, {made.size / 1e6:,.1f} MB,"
        f" {made.sent:,} of the files now"
    )
    compared = f"{len(made.releases):,} releases, {made.versions:,} versions of tables"
    print_line(f"the same on both sides: every file, {compared}")
    say(f"to use the copy, {f'leave out {gone} and ' if gone else ''}set in knowflow.yaml:")
    for line in lines:
        print_line(f"  {line}")
    say(f"{store} is as it was; delete it when the copy has served you, because what is forgotten later stays in it")
    return 0
