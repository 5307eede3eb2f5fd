"""A pool of actors on a Ray cluster that work on blocks of rows; Ray is imported when it starts.

Plain actors rather than Ray Data: requests are a stream that ends when the budget is spent, and a pool of Ray Data
lives for one data set, so each window of the stream would load the model again.
"""

import os
import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import count, islice
from math import ceil
from typing import Any

from engines.protocol import KEPT, EngineFault
from engines.ray.config import ExecutorConfig

OBJECT_STORE_BYTES = 200 << 20
"""Shared memory of a cluster of our own: what is under way is a few blocks of text or vectors."""
START_SECONDS = 300
RETRIES = 3
"""How often a block is given to an actor again after one has died of it: a row that kills every actor must end."""
Job = Callable[[Sequence[Any]], Iterable[Any]]
"""Works on a block and yields results."""
Build = Callable[[], tuple[Any, Job]]
"""Builds, in an actor, what works there: a description of the model that must be the same everywhere, and the job."""


class Worker:
    """What an actor runs."""

    def __init__(self, build: Build) -> None:
        self._build, self._job = build, None

    def open(self) -> tuple[Any, Exception | None]:
        """Build the job; return the description of its model, or why it cannot be built."""
        try:
            about, self._job = self._build()
        except Exception as error:  # raised again by the command, as if it had happened there
            return None, portable(error)
        return about, None

    def work(self, packed: bytes) -> tuple[bytes, Exception | None]:
        """Work on a pickled block; return the results so far, pickled, and the error that ended it if there was one."""
        results: list[Any] = []
        try:
            if self._job is None:  # the actor was started again, perhaps on another machine
                _, self._job = self._build()
            for result in self._job(pickle.loads(packed)):
                results.append(result)
        except Exception as error:
            return pickle.dumps(results), portable(error)
        return pickle.dumps(results), None


class Pool:
    """Actors on a Ray cluster; `close` ends them, and the cluster if it is our own.

    Args:
        build: Builds the job in each actor; it is pickled.
        config: Which cluster, how many actors, how large.
        about: Description of the model in this process, which those of all actors must equal.

    Raises:
        EngineFault: Ray is not installed, there is no such cluster, it is too small, or an actor has another model.
    """

    def __init__(self, build: Build, config: ExecutorConfig, about: Any) -> None:
        check_installed()
        # Takes a second, and only a run on Ray needs it; by its name, for it is an extra.
        ray = import_module("ray")
        self._ray, self._config = ray, config
        self._connect()
        try:
            check_room(config, [node["Resources"] for node in ray.nodes() if node["Alive"]])
            options = {"num_cpus": config.cpus, "num_gpus": config.gpus}
            kind = ray.remote(Worker).options(**options, max_restarts=-1, max_task_retries=RETRIES)
            self._actors = [kind.remote(build) for _ in range(config.actors)]
            self._open(about)
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # the command sends nothing to anybody
        own = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
        where = {"address": self._config.address} if self._config.address else {"address": "local", **own}
        try:
            with warnings.catch_warnings():  # Ray forks only to run other programs, which use no Lance of ours
                warnings.filterwarnings("ignore", "lance is not fork-safe")
                warnings.filterwarnings("ignore", "lancedb fork support")
                self._ray.init(**where, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            raise EngineFault(
                f"executor.address: cannot join {self._config.address or 'a cluster of our own'}: {error}\n"
                "  start one (ray start --head), correct the address, or leave it out to start one here"
            ) from error

    def _open(self, about: Any) -> None:
        """Wait until every actor has built its job, and compare the models."""
        opened = [actor.open.remote() for actor in self._actors]
        done, late = self._ray.wait(opened, num_returns=len(opened), timeout=START_SECONDS)
        if late:
            free = self._ray.available_resources()
            raise EngineFault(
                f"executor: {len(late)} of {len(opened)} actors did not start within {START_SECONDS} s; the cluster "
                f"has {free.get('CPU', 0):g} CPUs and {free.get('GPU', 0):g} GPUs free\n"
                "  wait until others are done, or lower executor.actors, cpus or gpus"
            )
        try:
            built = self._ray.get(done)
        except self._ray.exceptions.RayError as error:
            last = str(error).strip().splitlines()[-1]
            raise EngineFault(
                f"executor: an actor could not be started: {last}\n"
                "  KnowFlow, knowflow.yaml's folder and its plug-ins must be on every machine, at the same paths"
            ) from error
        for theirs, error in built:
            if error is not None:
                raise error
            if theirs != about:
                raise EngineFault(
                    f"executor: an actor has another model than this machine: {theirs}, here {about}\n"
                    "  give all machines the same files (a shared folder, or copies at the same path)"
                )

    def work(self, rows: Iterable[Any]) -> Iterator[tuple[int, list[Any]]]:
        """Work on a stream of rows, taking only as many as are under way.

        Yields:
            The number of a block and its results, in the order in which blocks are finished.

        Raises:
            EngineFault: Actors died of a block again and again.
            Exception: What the job raised, after the results before it.
        """
        blocks = zip(count(), cut(rows, self._config), strict=False)
        free = 2 * self._actors
        waiting: dict[Any, tuple[int, Any]] = {}
        while True:
            while free and (block := next(blocks, None)) is not None:
                actor = free.pop(0)
                # Packed here: Ray's own pickling calls Python for every object, at several times the cost
                waiting[actor.work.remote(pickle.dumps(block[1]))] = (block[0], actor)
            if not waiting:
                return
            for ref in self._ray.wait(list(waiting))[0]:
                number, actor = waiting.pop(ref)
                results, error = self._result(ref)
                free.append(actor)
                yield number, results
                if error is not None:
                    raise error

    def _result(self, ref: Any) -> tuple[list[Any], Exception | None]:
        try:
            packed, error = self._ray.get(ref)
            return pickle.loads(packed), error
        except self._ray.exceptions.RayError as error:
            first = str(error).strip().splitlines()[0]
            raise EngineFault(
                f"executor: a block was given up, actors died of it {RETRIES + 1} times: {first}\n"
                "  look for memory that ran out (dmesg); lower executor.rows_a_block, or give each actor more cpus\n"
                f"  {KEPT}"
            ) from error

    def close(self) -> None:
        """End the actors, and the cluster if it is our own."""
        for actor in getattr(self, "_actors", []):
            self._ray.kill(actor)
        self._actors = []
        self._ray.shutdown()


def cut(rows: Iterable[Any], config: ExecutorConfig) -> Iterator[list[Any]]:
    """Cut a stream into blocks; one that is short is shared by all actors rather than one block for one of them.

    Example:
        >>> [len(block) for block in cut(range(10), ExecutorConfig(actors=2, rows_a_block=256))]
        [5, 5]
        >>> [len(block) for block in cut(range(10), ExecutorConfig(actors=2, rows_a_block=4))]
        [4, 4, 2]
    """
    source = iter(rows)
    first = list(islice(source, config.actors * config.rows_a_block))
    size = max(1, min(config.rows_a_block, ceil(len(first) / config.actors)))
    for start in range(0, len(first), size):
        yield first[start : start + size]
    while block := list(islice(source, config.rows_a_block)):
        yield block


def check_installed() -> None:
    """Check that Ray is installed.

    Raises:
        EngineFault: It is not.
    """
    if find_spec("ray") is None:
        raise EngineFault("executor: ray is not installed\n  pip install 'knowflow[ray]', or use --executor local")


def check_room(config: ExecutorConfig, nodes: Sequence[dict[str, float]]) -> None:
    """Check that all actors have room at once; Ray itself would wait for ever without a word.

    Args:
        config: How many actors, and what each takes.
        nodes: Resources of each machine: CPU, GPU.

    Raises:
        EngineFault: They have not.

    Example:
        >>> check_room(ExecutorConfig(actors=2, cpus=1), [{"CPU": 2.0}])
    """
    takes = {"CPU": config.cpus, "GPU": config.gpus}
    room = 0
    for node in nodes:
        fits = [int(node.get(name, 0) / taken + 1e-9) for name, taken in takes.items() if taken]
        room += min(fits, default=config.actors)
    if room >= config.actors:
        return
    has = ", ".join(f"{sum(node.get(name, 0) for node in nodes):g} {name}s" for name in takes)
    raise EngineFault(
        f"executor: {config.actors} actors of {config.cpus:g} CPUs and {config.gpus:g} GPUs take "
        f"{config.actors * config.cpus:g} CPUs and {config.actors * config.gpus:g} GPUs; the cluster has {has} on "
        f"{len(nodes)} machines, room for {room} actors\n"
        f"  set executor.actors to {max(room, 1)}, lower executor.cpus or executor.gpus, or add machines"
    )


def portable(error: Exception) -> Exception:
    """Return an error that another process can read: itself, or its kind and text."""
    try:
        copy = pickle.loads(pickle.dumps(error))
        return copy if str(copy) == str(error) else RuntimeError(f"{type(error).__name__}: {error}")
    except Exception:  # an error may hold anything, such as an open connection
        return RuntimeError(f"{type(error).__name__}: {error}")
