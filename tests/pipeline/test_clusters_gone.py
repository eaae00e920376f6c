"""A cluster that goes while a run is at work: exit code 3, one sentence; a worker that is cut off costs nothing."""

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import distributed
import pytest

from vad_pipeline.pipeline.workers import dask_cluster, ray_cluster
from vad_pipeline.pipeline.workers.base import ExecutorConfig, ExecutorUnavailable, Work
from vad_pipeline.pipeline.workers.dispatch import run

N_VIDEOS = 8
READY_SECONDS = 120  # of a machine that has other things to do
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
    loud = [
        name
        for name in ("distributed.client", "tornado.tcpclient", "asyncio")
        if logging.getLogger(name).isEnabledFor(logging.ERROR)
    ]
    assert not loud  # a connection that fails is logged, with its traceback, by one of them


def test_a_ray_cluster_without_head_or_nodes_is_given_up(monkeypatch):
    monkeypatch.setattr(ray_cluster, "LOOK_SECONDS", 0.01)
    resources = {"CPU": 2.0}
    monkeypatch.setattr("ray.cluster_resources", lambda: resources)
    with socket.create_server(("127.0.0.1", 0)) as server:
        seen = ray_cluster._Cluster(f"127.0.0.1:{server.getsockname()[1]}", "CPU")
        time.sleep(0.02)
        seen.look()
        resources.clear()
        time.sleep(0.02)
        seen.look()  # a node may be starting
        monkeypatch.setattr(ray_cluster, "WORKERLESS_SECONDS", 0.01)
        time.sleep(0.02)
        with pytest.raises(
            ExecutorUnavailable, match="the Ray cluster has had no CPU for .*run the same command again"
        ):
            seen.look()
    time.sleep(0.02)
    seen.look()  # the head may be restarting
    monkeypatch.setattr(ray_cluster, "GONE_SECONDS", 0.01)
    time.sleep(0.02)
    with pytest.raises(ExecutorUnavailable, match="its head does not answer.*run the same command again"):
        seen.look()


class Cluster:
    """Processes of a Dask or Ray cluster: a head, and workers, each perhaps in a network of its own."""

    def __init__(self, backend: str, folder: Path, host: str):
        self.backend, self.folder, self.host, self.port = backend, folder, host, free_port()
        self.address = f"tcp://{host}:{self.port}" if backend == "dask" else f"{host}:{self.port}"
        self.environment = os.environ | {"RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
        self.begun: list[subprocess.Popen] = []

    def begin(self, words: list[str], network: str | None, ready: str) -> subprocess.Popen:
        """Begin a part of the cluster, and wait until it says that it is ready."""
        inside = ["ip", "netns", "exec", network] if network else []
        path = self.folder / f"{len(self.begun)}.log"
        with path.open("w") as log:
            process = subprocess.Popen(
                [*inside, sys.executable, "-m", *words],
                stdout=log, stderr=log, start_new_session=True, env=self.environment,
            )  # fmt: skip
        self.begun.append(process)
        deadline = time.monotonic() + READY_SECONDS
        while ready not in path.read_text(errors="replace"):
            assert process.poll() is None and time.monotonic() < deadline, path.read_text(errors="replace")[-2000:]
            time.sleep(0.1)
        return process

    def head(self, network: str | None = None) -> subprocess.Popen:
        if self.backend == "dask":
            words = ["distributed.cli.dask_scheduler", "--host", self.host, "--port", str(self.port), "--no-dashboard"]
        else:
            words = ["ray.scripts.scripts", "start", "--head", f"--port={self.port}", "--num-cpus=0", "--block"]
            words += ["--include-dashboard=false", "--disable-usage-stats", f"--node-ip-address={self.host}"]
            words += [f"--temp-dir={self.folder / 'ray'}"]
        return self.begin(words, network, "Scheduler at:" if self.backend == "dask" else "Ray runtime started")

    def worker(self, host: str, network: str | None = None) -> subprocess.Popen:
        if self.backend == "dask":
            words = ["distributed.cli.dask_worker", self.address, "--nthreads", "1", "--no-dashboard", "--host", host]
        else:
            words = ["ray.scripts.scripts", "start", f"--address={self.address}", "--num-cpus=1", "--block"]
            words += ["--disable-usage-stats", f"--node-ip-address={host}"]
        return self.begin(words, network, "Registered to:" if self.backend == "dask" else "Ray runtime started")

    def end(self) -> None:
        for process in self.begun:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def extract(self, raw: Path, store: Path, model: str, network: str | None = None) -> subprocess.Popen:
        inside = ["ip", "netns", "exec", network] if network else []
        words = ["extract", raw, "--store", store, "--like", "quick", "--pretrained", "random:0", "--model", model]
        words += ["--device", "cpu", "--backend", self.backend, "--address", self.address]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*inside, *MAIN, *map(str, words)], **pipes, env=self.environment)


@pytest.fixture
def short_path():
    """A folder with a short name: Ray's sockets lie in it."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="c") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def raw(tmp_path_factory, make_video) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for number in range(N_VIDEOS):
        make_video(folder / f"v{number}.mp4", n_frames=1500, seed=number)
    return folder


def n_done(store: Path) -> int:
    return sum(path.read_text().count('"status": "ok"') for path in store.glob("outcomes/*.jsonl"))


def until_done(store: Path, n_videos: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 180
    while n_done(store) < n_videos:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_the_head_killed_stops_the_run(backend, raw, toy_model, tmp_path, short_path):
    cluster = Cluster(backend, short_path, "127.0.0.1")
    try:
        head = cluster.head()
        cluster.worker("127.0.0.1")
        process = cluster.extract(raw, tmp_path / "S", toy_model)
        until_done(tmp_path / "S", 1, process)
        os.killpg(head.pid, signal.SIGKILL)
        out, err = process.communicate(timeout=120)
    finally:
        cluster.end()
    assert process.returncode == 3 and "Traceback" not in err, err
    assert [line for line in err.splitlines() if "cluster is gone" in line and line.startswith("Error: ")], err


@pytest.fixture
def networks():
    """Three hosts that share a disk: `hub` at 10.77.0.1, `one` and `two` behind cables to it."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("networks are made by root and iproute2")
    names = {name: f"vad-{os.getpid()}-{name}" for name in ("hub", "one", "two")}

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        try:
            for name in names.values():
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            ip("-n", names["hub"], "link", "add", "bridge", "type", "bridge")
            ip("-n", names["hub"], "address", "add", "10.77.0.1/24", "dev", "bridge")
            ip("-n", names["hub"], "link", "set", "bridge", "up")
            for number, name in enumerate(("one", "two"), 2):
                ip("-n", names["hub"], "link", "add", name, "type", "veth", "peer", "cable", "netns", names[name])
                ip("-n", names["hub"], "link", "set", name, "master", "bridge", "up")
                ip("-n", names[name], "address", "add", f"10.77.0.{number}/24", "dev", "cable")
                ip("-n", names[name], "link", "set", "cable", "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no networks can be made here ({error.stderr.decode().strip()})")
        yield names
    finally:
        for name in names.values():
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_worker_that_is_cut_off_costs_nothing(backend, networks, raw, toy_model, tmp_path, short_path, run_cli):
    cluster = Cluster(backend, short_path, "10.77.0.1")
    try:
        cluster.head(networks["hub"])
        cluster.worker("10.77.0.2", networks["one"])
        cluster.worker("10.77.0.3", networks["two"])
        process = cluster.extract(raw, tmp_path / "S", toy_model, networks["hub"])
        until_done(tmp_path / "S", 1, process)
        subprocess.run(["ip", "-n", networks["two"], "link", "set", "cable", "down"], check=True)
        out, err = process.communicate(timeout=400)
    finally:
        cluster.end()
    assert process.returncode == 0 and f"{N_VIDEOS} ok, 0 cached, 0 failed" in out, err
    code, out, _ = run_cli("store", "verify", "--store", tmp_path / "S")
    assert code == 0 and f"{N_VIDEOS} videos verified" in out
