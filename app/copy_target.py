"""Where a copy of a store is to be: what knowflow.yaml will say of it."""

import os
from pathlib import Path

from pydantic import ValidationError

from app.config import Config
from base.faults import WrongUse
from feature_store.bucket import Bucket, BucketConfig
from feature_store.database import Store


def copy_target(config: Config, to: str, endpoint: str | None = None, region: str | None = None) -> Store:
    """Return the place that a store is copied to.

    Args:
        config: The config of the store that is copied.
        to: `s3://BUCKET/PREFIX`, or a home folder.
        endpoint: Address of a service other than AWS.
        region: Region of the bucket.

    Raises:
        WrongUse: It is no such place, or it is where the store is now.
    """
    if "://" in to:
        try:
            bucket = BucketConfig(url=to, endpoint=endpoint, region=region)
        except ValidationError as error:
            faults = [f"--{one['loc'][0] if one['loc'][0] != 'url' else 'to'}: {one['msg']}" for one in error.errors()]
            raise WrongUse("\n".join(faults).replace("Value error, ", "")) from None
        target = Store(config.store_folder, None, Bucket.of(bucket, config.store_folder))
        same = config.store is not None and (bucket.url, bucket.endpoint) == (config.store.url, config.store.endpoint)
    else:
        if endpoint or region:
            raise WrongUse(f"--to {to} is a folder; --endpoint and --region are for s3://BUCKET/PREFIX")
        home = Path(to).resolve()
        if config.folder.is_relative_to(home):
            raise WrongUse(f"--to {to} holds knowflow.yaml itself\n  name a home folder, such as {config.home}")
        target = Store(home / "store")
        same = config.store is None and target.folder == config.store_folder
    if same:
        raise WrongUse(f"--to {to}: this is where the store is\n  name another place")
    return target


def settings_for(config: Config, target: Store, to: str, endpoint: str | None, region: str | None) -> list[str]:
    """Return the lines of knowflow.yaml that make it use a copy, after those that must go."""
    if target.bucket is not None:
        told = {"url": target.bucket.address, "endpoint": endpoint, "region": region}
        return ["store:", *(f"  {name}: {value}" for name, value in told.items() if value is not None)]
    home = os.path.relpath(Path(to).resolve(), config.folder)
    return [f"home: {home if not home.startswith('..') else Path(to).resolve()}"]
