"""Where a store may be copied to, and what knowflow.yaml is to say then."""

import pytest

from app.config import load_config
from app.copy_target import copy_target, settings_for
from base.faults import WrongUse


@pytest.mark.parametrize(
    ("to", "endpoint", "why"),
    [
        ("s3://b", None, r"--to: it is no address of a prefix; use one such as s3://"),
        ("gs://b/shop", None, r"--to: it is no address of a prefix"),
        ("s3://b/shop", "minio:9000", r"--endpoint: it is no address; use one such as http"),
        ("other", "http://minio:9000", r"other is a folder; --endpoint and --region are for s3://BUCKET/PREFIX"),
        ("{shop}", None, r"holds knowflow\.yaml itself\n  name a home folder"),
        ("{shop}/runs", None, r"this is where the store is\n  name another place"),
    ],
)
def test_what_is_no_place_for_a_copy_is_refused(shop, to, endpoint, why):
    with pytest.raises(WrongUse, match=why):
        copy_target(load_config(shop.config), to.format(shop=shop.folder), endpoint)


def test_the_store_s_own_prefix_is_refused(make_shop):
    shop = make_shop(store={"url": "s3://b/shop"})

    with pytest.raises(WrongUse, match="this is where the store is"):
        copy_target(load_config(shop.config), "s3://b/shop/")


def test_knowflow_yaml_is_told_what_to_say(shop, tmp_path):
    config = load_config(shop.config)
    address, near, far = "s3://b/shop/", str(shop.folder / "other"), str(tmp_path / "far")

    bucket = copy_target(config, address, "http://minio:9000", "eu-central-1")
    folder = copy_target(config, near)

    assert settings_for(config, bucket, address, "http://minio:9000", "eu-central-1") == [
        "store:",
        "  url: s3://b/shop",
        "  endpoint: http://minio:9000",
        "  region: eu-central-1",
    ]
    assert folder.folder == shop.folder / "other" / "store"
    assert settings_for(config, folder, near, None, None) == ["home: other"]
    assert settings_for(config, copy_target(config, far), far, None, None) == [f"home: {far}"]
