"""A cluster of two nodes on this machine: prints its address, then lives until its input ends: `python ray_nodes.py`."""

import os
import sys

import ray.cluster_utils


def main() -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    small = {"num_cpus": 2, "object_store_memory": 80 << 20, "include_dashboard": False}
    cluster = ray.cluster_utils.Cluster(initialize_head=True, head_node_args={**small, "num_cpus": 1})
    second = cluster.add_node(**{**small, "num_cpus": 1})
    print(cluster.address, second.all_processes["raylet"][0].process.pid, flush=True)
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()
