"""The MovieLens example, as techniques read it."""

from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "movielens"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Data and recorded engine in a home of its own: what `make demo` left in this checkout must change nothing."""
    from app.config import load_config
    from app.workplace import open_workplace

    home = tmp_path_factory.mktemp("home")
    return open_workplace(load_config(EXAMPLE / "knowflow.yaml").model_copy(update={"home": home}))
