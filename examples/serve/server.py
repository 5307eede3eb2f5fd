"""Answers requests with a kept model; the features of users and items come from the current release.

    .venv/bin/python examples/serve/server.py --config shop/knowflow.yaml --model knowledge --port 8080
    curl --json '{"user": "1", "items": ["318", "296"]}' http://127.0.0.1:8080/score

It holds one serving bundle (docs/how-to/serve.md). A thread watches the file that every publication writes; when it
changes, a child process exports the bundle of the release that is current now, and the new bundle takes the old one's
place between two requests. Until then, and when an export fails, the old one answers, and `/health` says so.
"""

import argparse
import json
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel

from ctr.serving.bundle import Bundle, open_bundle

LOG = logging.getLogger("serve")


class Ask(BaseModel):
    """One request: a user, and the candidates to score."""

    user: str
    items: list[str]


class Current:
    """The bundle that answers, and the watch that replaces it.

    Args:
        config: The knowflow.yaml.
        model: An arm of the newest training run, or RUN/ARM.
        every: Seconds between two looks at the releases.
    """

    def __init__(self, config: Path, model: str, every: float) -> None:
        self.words, self.every = ["--config", str(config), "--model", model, "--reuse", "--json"], every
        self.error: str | None = None
        self.ended = threading.Event()
        self.bundle = self._export()  # fails at the start if there is nothing to serve
        self._seen: tuple[int, int] | None = None  # so that a publication during the export is not missed

    def watch(self) -> None:
        """Replace the bundle whenever the releases change, until the server ends."""
        while not self.ended.wait(self.every):
            self.look()

    def look(self) -> None:
        """Replace the bundle if the releases have changed; keep what goes wrong for `/health`, and never raise."""
        try:
            now = self._stamp()
            if now != self._seen:
                self.bundle, self._seen = self._export(), now
                LOG.warning("answering with %s", self.bundle.release)
            self.error = None
        except Exception as error:  # of any kind: the thread goes on, and the next look may find it gone
            self.error = f"{type(error).__name__}: {error}"
            LOG.exception("still answering with %s", self.bundle.release)

    def _export(self) -> Bundle:
        """Export the current release in a process of its own, and open what it wrote."""
        command = [sys.executable, "-m", "cli.main", "export-model", *self.words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        facts = json.loads(done.stdout)
        self.releases = Path(facts["releases"])
        bundle = open_bundle(Path(facts["folder"]))
        bundle.score("", [""])  # the first call is slow
        return bundle

    def _stamp(self) -> tuple[int, int]:
        said = self.releases.stat()
        return said.st_mtime_ns, said.st_ino


def create_app(current: Current) -> FastAPI:
    """Build the endpoint."""

    @asynccontextmanager
    async def watched(_: FastAPI) -> AsyncIterator[None]:
        thread = threading.Thread(target=current.watch, daemon=True)
        thread.start()
        yield
        current.ended.set()

    app = FastAPI(title="KnowFlow", lifespan=watched)

    @app.post("/score")
    async def score(ask: Ask) -> Response:
        """Return the probability of a click for every item, in their order, and the release that says so."""
        bundle = current.bundle  # one bundle for the whole request, whatever takes its place meanwhile
        scores = bundle.score(ask.user, ask.items)
        content = orjson.dumps({"release": bundle.release, "scores": scores}, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(content, media_type="application/json")

    @app.get("/health")
    async def health() -> dict[str, object]:
        """Return what answers, and why a newer release does not, if it failed."""
        facts = {key: current.bundle.facts[key] for key in ("release", "run", "arm", "live", "users", "items")}
        return {**facts, "error": current.error}

    return app


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="the knowflow.yaml")
    parser.add_argument("--model", required=True, help="an arm of the newest training run, or RUN/ARM")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two looks at the releases")
    given = parser.parse_args()
    try:
        current = Current(given.config.resolve(), given.model, given.every)
    except RuntimeError as error:
        sys.exit(str(error))
    uvicorn.run(create_app(current), host=given.host, port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
