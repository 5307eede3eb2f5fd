"""Keys that lie in Prefect: read when an engine needs them, from a real server."""

import pytest
from prefect.blocks.system import Secret

from app.config import load_config
from app.workplace import open_workplace
from engines.protocol import EngineFault
from flows.refresh import refresh
from flows.secrets import read_secret

pytestmark = pytest.mark.usefixtures("prefect_server")
KEY = "sk-3f9a-not-for-anyone"


def test_a_secret_block_is_read_by_its_name():
    Secret(value=KEY).save("models-key", overwrite=True)

    assert read_secret("models-key") == KEY
    with pytest.raises(ValueError, match="no-such-key"):
        read_secret("no-such-key")


def test_a_plan_needs_no_key_and_a_refresh_without_one_says_so_and_never_what_it_is(shop):
    options = {"urls": "http://127.0.0.1:9/v1", "api_key_secret": "nobody-made-it"}
    shop.settings["engine"] = {"name": "openai", "model": "some", "options": options}
    shop.configure()

    assert len(shop.plan("kar_item").asks) == 12
    assert open_workplace(load_config(shop.config)).engine.identity.model == "some"
    with pytest.raises(EngineFault, match=r"api_key_secret: the Prefect Secret block 'nobody-made-it' cannot be read"):
        refresh(config=str(shop.config))
