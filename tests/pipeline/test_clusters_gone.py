"""A cluster that goes while a run is at work: exit code 3, one sentence; a worker that is cut off costs nothing."""

import socket
import sys
import time

import distributed
import pytest

from vad_pipeline.pipeline.workers import dask_cluster, ray_cluster
from vad_pipeline.pipeline.workers.base import ExecutorConfig, ExecutorUnavailable, Work
from vad_pipeline.pipeline.workers.dispatch import run

N_VIDEOS = 8
MAIN = [sys.executable, "-c", "from vad_pipeline.pipeline.cli import main; main()"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_dask_scheduler_that_ends_stops_the_run(monkeypatch):
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 1)  # how long a client tries to find it again

    def do(number):
        import time

        time.sleep(0.2)
        return number

    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        config = ExecutorConfig(backend="dask", address=cluster.scheduler_address)
        results = run(config, Work(lambda: None, do), range(100))
        next(results)
        cluster.close()
        with pytest.raises(ExecutorUnavailable, match="the Dask cluster is gone; run the same command again"):
            list(results)


def test_a_ray_head_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(ray_cluster, "LOOK_SECONDS", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as server:
        head = ray_cluster._Head(f"127.0.0.1:{server.getsockname()[1]}")
        time.sleep(0.02)
        head.look()
    time.sleep(0.02)
    head.look()  # it may be restarting
    monkeypatch.setattr(ray_cluster, "GONE_SECONDS", 0.01)
    with pytest.raises(ExecutorUnavailable, match="the Ray cluster is gone .*run the same command again"):
        head.look()
