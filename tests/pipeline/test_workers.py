"""Worker processes: the same store as without them; a death, a hang or a crash costs one video."""

import contextlib
import json
import os
import subprocess
import sys
import time

import distributed
import numpy as np
import pytest
import ray

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.extractor import ExtractConfig, Extractor
from vad_pipeline.extract.store import upkeep
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.pipeline.archive.extract_run import extract_archive
from vad_pipeline.pipeline.archive.selection import SelectionConfig, find_sources
from vad_pipeline.pipeline.workers.base import ExecutorConfig, ExecutorUnavailable, TimedOut, Work
from vad_pipeline.pipeline.workers.dispatch import run

N_VIDEOS = 6


@pytest.fixture(scope="module")
def archive(tmp_path_factory, make_video):
    folder = tmp_path_factory.mktemp("archive")
    for index in range(N_VIDEOS):
        make_video(folder / f"v{index}.mp4", n_frames=40 + index, seed=index)
    return folder


def features(store_path) -> dict[str, np.ndarray]:
    with EmbeddingStore(store_path) as store:
        assert list(upkeep.verify(store)) == [] and store.problems == []
        return {entry.video: store.get(entry).features for entry in store.entries()}


def outcomes(store_path) -> dict[str, dict]:
    newest = max((store_path / "outcomes").glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    return {line["video"]: line for line in map(json.loads, newest.read_text().splitlines())}


@pytest.fixture
def extract(tmp_path, toy_model, archive):
    """extract(executor, reader=..., store=...): the archive into a store; the summary."""

    def run_it(executor, *, reader=None, store="S"):
        config = ExtractConfig(
            like="quick",
            model=toy_model,
            pretrained="random:0",
            device="cpu",
            precision="fp32",
            runtime="torch",
            reader=reader,
        )
        selection = find_sources([str(archive)], SelectionConfig())
        with EmbeddingStore(tmp_path / store, create=True) as opened:
            return extract_archive(selection, Extractor(config), opened, executor=executor, report=lambda outcome: None)

    return run_it


def assert_same_within_a_float16_step(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys() and len(one) == N_VIDEOS
    for video in one:
        step = np.spacing(np.maximum(np.abs(one[video]), np.abs(other[video])))
        assert (np.abs(one[video].astype(np.float32) - other[video].astype(np.float32)) <= step).all()


@pytest.fixture
def faulty_reader(tmp_path):
    """A reader for which v1 kills its worker once, v2 crashes it, v3 hangs, for as long as tmp_path/faulty is there.

    A closure, so that it reaches workers, which cannot import this file.
    """
    faulty, killed = str(tmp_path / "faulty"), str(tmp_path / "killed")
    (tmp_path / "faulty").touch()

    def open_reader(path):
        import ctypes
        import os
        import signal
        import time

        from vad_pipeline.extract.decode.reader import PyavReader

        name = os.path.basename(path)
        if os.path.exists(faulty):
            if name == "v1.mp4" and not os.path.exists(killed):
                open(killed, "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "v2.mp4":
                ctypes.string_at(0)
            if name == "v3.mp4":
                time.sleep(1000)
        return PyavReader(path)

    return open_reader


def test_two_workers_make_the_store_that_one_process_makes(extract, tmp_path):
    assert extract(ExecutorConfig(), store="serial").counts["ok"] == N_VIDEOS
    assert extract(ExecutorConfig(workers=2)).counts["ok"] == N_VIDEOS
    assert_same_within_a_float16_step(features(tmp_path / "serial"), features(tmp_path / "S"))
    assert extract(ExecutorConfig(workers=2)).counts == {"cached": N_VIDEOS}


@pytest.mark.long
def test_a_death_a_crash_and_a_hang_cost_their_own_video(extract, tmp_path, faulty_reader, capfd):
    summary = extract(ExecutorConfig(workers=2, video_timeout=5), reader=faulty_reader)
    assert summary.counts == {"ok": N_VIDEOS - 2, "failed": 2} and summary.exit_code == 1
    lines = outcomes(tmp_path / "S")
    assert (tmp_path / "killed").exists() and lines["v1"]["status"] == "ok"  # a victim, not a culprit
    assert lines["v2"]["code"] == "worker_died" and "SIGSEGV" in lines["v2"]["error"]
    assert lines["v3"]["code"] == "timeout" and "--video-timeout" in lines["v3"]["error"]
    assert "Traceback" not in capfd.readouterr().err
    (tmp_path / "faulty").unlink()
    assert extract(ExecutorConfig(workers=2), reader=faulty_reader).counts == {"ok": 2, "cached": N_VIDEOS - 2}
    assert len(features(tmp_path / "S")) == N_VIDEOS


@pytest.fixture
def one_death_reader(tmp_path):
    """A reader for which v1 kills its worker the first time."""
    killed = str(tmp_path / "killed")

    def open_reader(path):
        import os
        import signal

        from vad_pipeline.extract.decode.reader import PyavReader

        if os.path.basename(path) == "v1.mp4" and not os.path.exists(killed):
            open(killed, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return PyavReader(path)

    return open_reader


@pytest.mark.long
def test_a_dask_cluster_one_of_whose_workers_dies(extract, tmp_path, one_death_reader):
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        executor = ExecutorConfig(backend="dask", address=cluster.scheduler_address)
        assert extract(executor, reader=one_death_reader).counts == {"ok": N_VIDEOS}
        assert (tmp_path / "killed").exists()
    extract(ExecutorConfig(), store="serial")
    assert_same_within_a_float16_step(features(tmp_path / "serial"), features(tmp_path / "S"))


@pytest.fixture(scope="module")
def ray_cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


@pytest.mark.long
def test_a_ray_cluster_one_of_whose_workers_dies(extract, tmp_path, one_death_reader, ray_cluster):
    assert extract(ExecutorConfig(backend="ray"), reader=one_death_reader).counts == {"ok": N_VIDEOS}
    assert (tmp_path / "killed").exists()
    extract(ExecutorConfig(), store="serial")
    assert_same_within_a_float16_step(features(tmp_path / "serial"), features(tmp_path / "S"))


def faulty(folder):
    """A function of numbers for which 1 kills its worker once, 2 crashes it, 3 hangs for longer than anybody waits."""
    killed = str(folder / "killed")

    def do(number):
        import ctypes
        import os
        import signal
        import time

        if number == 1 and not os.path.exists(killed):
            open(killed, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 2:
            ctypes.string_at(0)
        if number == 3:
            time.sleep(1000)
        return number

    return do


def test_a_death_a_crash_and_a_hang_cost_their_own_item(tmp_path):
    results = dict(in_processes(faulty(tmp_path), range(6), workers=2, video_timeout=2))
    assert str(results.pop(2).error) == "SIGSEGV" and isinstance(results.pop(3).error, TimedOut)
    assert {number: result.value for number, result in results.items()} == {0: 0, 1: 1, 4: 4, 5: 5}


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_worker_of_a_cluster_that_dies_costs_nothing(tmp_path, backend, request):
    with contextlib.ExitStack() as stack:
        config = ExecutorConfig(backend="ray")
        if backend == "dask":
            kind = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
            config = ExecutorConfig(backend="dask", address=stack.enter_context(kind).scheduler_address)
        else:
            request.getfixturevalue("ray_cluster")
        results = dict(run(config, Work(lambda: None, faulty(tmp_path)), [0, 1, 4, 5]))
    assert {number: result.value for number, result in results.items()} == {0: 0, 1: 1, 4: 4, 5: 5}
    assert (tmp_path / "killed").exists()


def test_a_hang_on_a_cluster_is_given_up(ray_cluster):
    def do(number):
        import time

        time.sleep(1000 if number == 1 else 0)
        return number

    config = ExecutorConfig(backend="ray", video_timeout=1.5, workers=1)
    results = dict(run(config, Work(lambda: None, do), range(4)))
    assert isinstance(results.pop(1).error, TimedOut)
    assert {number: result.value for number, result in results.items()} == {0: 0, 2: 2, 3: 3}


def test_no_cluster_there(extract):
    with pytest.raises(ExecutorUnavailable, match="no Dask scheduler answers"):
        extract(ExecutorConfig(backend="dask", address="nonsense://x"))


@pytest.mark.parametrize(("backend", "module"), [("dask", "distributed"), ("ray", "ray")])
def test_a_missing_extra_is_named(extract, monkeypatch, backend, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"pip install '\.\[{backend}\]' in the folder of vad-pipeline"):
        extract(ExecutorConfig(backend=backend, address="tcp://127.0.0.1:1"))


def in_processes(do, items, *, begin=lambda: None, **options):
    return list(run(ExecutorConfig(**options), Work(begin, do), items))


def test_items_are_drawn_as_there_is_room():
    drawn = []

    def items():
        for number in range(50):
            drawn.append(number)
            yield number

    results = run(ExecutorConfig(workers=2), Work(lambda: None, lambda number: number * 2), items())
    for _, _ in zip(range(5), results, strict=False):
        assert len(drawn) <= 12
    results.close()
    assert len(drawn) < 12


def test_errors_come_home_as_values():
    def do(number):
        from vad_pipeline.extract.errors import VideoDecodeError

        if number == 1:
            raise VideoDecodeError("a.mp4", "no_frames", "nothing in it")
        return number

    results = dict(in_processes(do, [0, 1, 2], workers=1))
    assert results[0].value == 0 and results[2].value == 2
    assert str(results[1].error) == "a.mp4: nothing in it" and "VideoDecodeError" in results[1].trace


def test_workers_share_the_cores():
    def threads(_):
        import os

        return os.environ["OMP_NUM_THREADS"]

    ((_, result),) = in_processes(threads, [0], workers=len(os.sched_getaffinity(0)))
    assert result.value == "1"


def test_a_worker_that_dies_while_idle_is_replaced():
    def do(number):
        import os
        import signal
        import threading

        if number == 1:  # after the result is home
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return number

    def slow():
        for number in range(4):
            time.sleep(0.8 if number == 2 else 0)
            yield number

    assert [result.value for _, result in in_processes(do, slow(), workers=1)] == [0, 1, 2, 3]


def test_an_error_that_does_not_pickle_comes_home_in_words():
    def do(_):
        class Odd(Exception):
            def __reduce__(self):
                raise TypeError("not me")

        raise Odd("something odd")

    ((_, result),) = in_processes(do, [0], workers=1)
    assert "something odd" in str(result.error) and isinstance(result.error, RuntimeError)


def test_a_ray_cluster_without_the_gpus_asked_for(ray_cluster):
    with pytest.raises(ExecutorUnavailable, match="no GPU"):
        list(run(ExecutorConfig(backend="ray", gpu=True), Work(lambda: None, lambda item: item), [0]))


def test_workers_that_never_come_up_stop_the_run():
    def begin():
        import os

        os._exit(3)

    with pytest.raises(ExecutorUnavailable, match=r"before they begin \(exit code 3, 3 times\)"):
        in_processes(lambda item: item, [0], begin=begin, workers=1)

    def refused():
        from vad_pipeline.extract.errors import ConfigError

        raise ConfigError("no such weights")

    with pytest.raises(ConfigError, match="no such weights"):
        in_processes(lambda item: item, [0], begin=refused, workers=1)


def test_workers_do_not_outlive_their_run(tmp_path):
    script = (
        "import os, sys, time\n"
        "from vad_pipeline.pipeline.workers.base import ExecutorConfig, Work\n"
        "from vad_pipeline.pipeline.workers.dispatch import run\n"
        "def do(path):\n"
        "    open(path, 'w').write(str(os.getpid())); time.sleep(1000)\n"
        "list(run(ExecutorConfig(workers=1), Work(lambda: None, do), [sys.argv[1]]))\n"
    )
    path = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", script, str(path)])
    worker = int(wait_for(lambda: path.exists() and path.read_text()))
    parent.kill()
    parent.wait()
    wait_for(lambda: not is_alive(worker))


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in open(f"/proc/{pid}/status").read()
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "--workers"),
        ({"video_timeout": 0.0}, "--video-timeout"),
        ({"video_timeout": float("inf")}, "--video-timeout"),
        ({"address": "tcp://x"}, "--backend dask or ray"),
        ({"backend": "dask"}, "--address"),
    ],
)
def test_options_that_contradict_each_other(options, words):
    with pytest.raises(ConfigError, match=words):
        ExecutorConfig(**options)


def test_other_weights_on_a_worker_are_refused(tmp_path, toy_model):
    from vad_pipeline.pipeline.archive.extract_work import ExtractWork

    config = ExtractConfig(like="quick", model=toy_model, pretrained="random:0", device="cpu")
    with pytest.raises(ConfigError, match="give all hosts the same file"):
        ExtractWork(config, "another", tmp_path).begin()


def test_a_backend_that_nobody_knows_is_refused():
    with pytest.raises(ConfigError, match="--backend must be loky, dask, ray, got 'slurm'"):
        ExecutorConfig(backend="slurm")
