"""What is decided before any actor starts: how rows are cut, whether there is room, what an error becomes."""

import importlib.util
import threading

import pytest

from engines.protocol import EngineFault
from engines.ray.config import ExecutorConfig
from engines.ray.pool import check_room, cut, portable


@pytest.mark.parametrize(
    ("rows", "sizes"), [(0, []), (1, [1]), (5, [3, 2]), (8, [4, 4]), (9, [4, 4, 1]), (21, [4, 4, 4, 4, 4, 1])]
)
def test_a_stream_is_cut_into_blocks_and_a_short_one_is_shared_by_all_actors(rows, sizes):
    blocks = list(cut(range(rows), ExecutorConfig(actors=2, rows_a_block=4)))

    assert [len(block) for block in blocks] == sizes
    assert [row for block in blocks for row in block] == list(range(rows))


def test_no_more_is_taken_than_one_block_for_each_actor_before_the_first_is_given():
    taken = []
    stream = (taken.append(row) or row for row in range(100))

    next(cut(stream, ExecutorConfig(actors=3, rows_a_block=5)))

    assert len(taken) == 15


@pytest.mark.parametrize(
    ("actors", "cpus", "gpus", "nodes"),
    [
        (2, 1, 0, [{"CPU": 2}]),
        (3, 0.1, 0, [{"CPU": 0.3}]),  # 0.3 / 0.1 is 2.9999999999999996
        (2, 0, 0.5, [{"CPU": 1, "GPU": 1}]),
        (4, 0, 0, [{"CPU": 1}]),
    ],
)
def test_actors_that_have_room_may_start(actors, cpus, gpus, nodes):
    check_room(ExecutorConfig(actors=actors, cpus=cpus, gpus=gpus), nodes)


def test_actors_without_room_are_refused_with_what_to_change_also_if_only_the_sum_would_suffice():
    nodes = [{"CPU": 3.0}, {"CPU": 3.0}, {"CPU": 2.0, "GPU": 1.0}]  # 8 CPUs, and room for 1 + 1 + 1 actors of two

    with pytest.raises(EngineFault) as fault:
        check_room(ExecutorConfig(actors=4, cpus=2), nodes)
    with pytest.raises(EngineFault, match="room for 1 actors"):
        check_room(ExecutorConfig(actors=2, cpus=1, gpus=1), nodes)

    assert str(fault.value).splitlines() == [
        "executor: 4 actors of 2 CPUs and 0 GPUs take 8 CPUs and 0 GPUs; the cluster has 8 CPUs, 1 GPUs on 3 machines, "
        "room for 3 actors",
        "  set executor.actors to 3, lower executor.cpus or executor.gpus, or add machines",
    ]


def test_an_error_comes_back_as_itself_or_with_its_kind_and_text():
    fault = portable(EngineFault("no such model"))
    held = ValueError("bad")
    held.lock = threading.Lock()  # type: ignore[attr-defined]

    assert (type(fault), str(fault)) == (EngineFault, "no such model")
    assert repr(portable(held)) == "RuntimeError('ValueError: bad')"


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed here")
def test_without_ray_a_refresh_names_the_extra_before_anything_is_asked(shop, plain_knowflow):
    done = plain_knowflow.run("refresh", "--config", shop.config, "--executor", "ray")

    assert done.returncode == 2
    assert "ray is not installed\n  pip install 'knowflow[ray]', or use --executor local" in done.stderr + done.stdout
    assert shop.calls() == []
