"""`watch`, with a toy tower: it writes what `detect --delay` makes of the same footage, through every trouble."""

import errno
import json
import os
import queue
import signal
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import av
import numpy as np
import pytest
from preloaded import Command

from vad_pipeline.extract.embed.encoder import ClipEncoder
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.pipeline.live import camera, journal, only_watcher, source, watcher
from vad_pipeline.pipeline.live.arrival import ArrivalTimes
from vad_pipeline.pipeline.live.journal import Journal, head_of
from vad_pipeline.pipeline.live.messages import Opened
from vad_pipeline.pipeline.live.source import Source, address_of
from vad_pipeline.pipeline.results.curve_group import CurveOrigin
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.run_settings import settings_of

PASSWORD = "geheim7"


def wait_until(happens, seconds=200):
    until = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_files_that_grow_are_what_detect_makes_of_them(watch, detected, make_video, tmp_path, run_cli, monkeypatch):
    monkeypatch.setattr(source, "GROWTH_SECONDS", 2.0)
    for seed, name in enumerate(("gate", "yard")):
        make_video(tmp_path / f"{name}.ts", n_frames=330 + 7 * seed, seed=seed)
    growing, live = tmp_path / "grown" / "gate.ts", tmp_path / "live"
    growing.parent.mkdir()

    def grow():
        data = (tmp_path / "gate.ts").read_bytes()
        with growing.open("wb") as file:
            for at in range(0, len(data), len(data) // 5):
                file.write(data[at : at + len(data) // 5])
                file.flush()
                wait_until(lambda: [*live.glob("live/*.journal"), *live.glob("curves/*.h5")])
                time.sleep(0.1)

    growing.touch()
    writing = threading.Thread(target=grow)
    writing.start()
    code, out, err = watch(growing, f"back yard={tmp_path / 'yard.ts'}", "--delay", "2", "--threshold", "0.2")
    writing.join()
    assert code == 0 and "43 snippets of 2 cameras in 2 videos" in out, err
    results = Results.open(live)
    for curve, name in zip(results, ("yard", "gate"), strict=True):
        assert curve.video_id.startswith("back yard/2" if name == "yard" else "gate/2")
        expected = detected(tmp_path / f"{name}.ts", 2)
        assert len(curve.scores) == len(expected)
        np.testing.assert_allclose(curve.scores, expected, atol=2e-5)
        np.testing.assert_allclose(np.diff(curve.frame_seconds), 0.04, atol=1e-3)
    record = json.loads((live / "run.json").read_text())
    assert record["delay"] == 2 and record["clock"]["timezone"] == "UTC"
    events = [json.loads(line) for line in (live / "events.jsonl").read_text().splitlines()]
    assert events and all(event["start_time"].endswith("+00:00") for event in events)
    again = run_cli("events", tmp_path / "live", "--threshold", "0.2")
    assert again[0] == 0
    assert events == [json.loads(line) for line in (live / "events.jsonl").read_text().splitlines()]
    assert sorted(path.name for path in (live / "live").iterdir() if path.is_file()) == []
    code, _, err = watch(growing, "--delay", "3")
    assert code == 2 and "holds results of another delay (2)" in err


def test_what_a_killed_run_had_scored_is_kept(watch, make_video, tmp_path):
    """As a kill leaves it: a journal whose last record is half there."""
    path, live = make_video(tmp_path / "gate.ts", n_frames=40), tmp_path / "live"
    assert watch(path, "--threshold", "0")[0] == 0
    (whole,) = Results.open(live)
    origin = CurveOrigin(recipe_id=settings_of(Results.open(live)).recipe_id, made_from="watch", threshold=0.5)
    of = {"video": "gate/2026-11-28/10-00-00+0000", "source": "gate", "fps": whole.fps, "categories": whole.categories}
    left = Journal(live / "live", head_of({**of, "categories": list(whole.categories)}, origin))
    left.append(np.arange(48).reshape(3, 16) / 25, np.full(3, 0.5), np.full((3, 14), 1 / 14))
    left.sync()
    with left.path.open("r+b") as file:
        file.truncate(left.path.stat().st_size - 10)
    code, _, err = watch(path)
    assert code == 0 and "gate/2026-11-28/10-00-00+0000: what a killed run had scored of it is kept" in err
    assert not left.path.exists() and len(Results.open(live)) == 3
    kept = Results.open(live).get(of["video"], origin.recipe_id)
    assert kept.n_frames == 32 and (kept.scores == 0.5).all()
    assert len((live / "events.jsonl").read_text().splitlines()) == 3
    (live / "live" / "half.journal").write_bytes(b"")
    code, _, err = watch(path)
    assert code == 3 and "half.journal: is no journal" in err


def test_a_camera_of_which_nothing_can_be_decoded_is_tried_again(make_video, tmp_path, monkeypatch):
    path, sent = make_video(tmp_path / "gate.ts", n_frames=40), queue.Queue()
    monkeypatch.setattr(camera, "TIMEOUT_SECONDS", 0.0)
    monkeypatch.setattr(camera, "_decoded", lambda stream, packet: ())
    gate = SimpleNamespace(name="gate", address="gate", is_live=True, open=lambda is_over: av.open(str(path)))
    watched = camera.Camera(gate, Recipe(), 0, sent)
    watched.start()
    opened, lost = (sent.get(timeout=60) for _ in range(2))
    watched.stop()
    assert isinstance(opened, Opened) and lost.why.endswith("can be decoded") and lost.again_in_seconds > 0
    watched.join(60)


@pytest.mark.long
def test_a_kill_costs_seconds_and_one_folder_has_one_watch(watch, detected, make_video, tmp_path, computing, run_cli):
    path = make_video(tmp_path / "gate.ts", n_frames=330)
    arguments = ("watch", path, *computing, "--delay", 2, "--out", tmp_path / "live")
    killed = Command(arguments)

    def journalled(before=()):
        """The journals that hold 18 snippets, those before left out."""
        there = set((tmp_path / "live" / "live").glob("*.journal")) - set(before)
        return {path for path in there if path.stat().st_size > 18 * 188}

    wait_until(journalled)
    killed.kill()
    killed.wait(100)
    before = journalled()
    again = Command(arguments)
    wait_until(lambda: journalled(before))
    code, _, err = watch(path, "--delay", "2")
    assert code == 2 and "another `watch` of this machine is writing into it" in err
    assert run_cli("report", tmp_path / "live")[0] == 0
    again.send_signal(signal.SIGTERM)
    out, err = again.communicate(200)
    assert again.returncode == 0 and "21 snippets of 1 camera in 1 video" in out, err
    assert "what a killed run had scored of it is kept" in err
    first, second = sorted(Results.open(tmp_path / "live"), key=lambda curve: curve.video_id)
    expected = detected(path, 2)
    assert len(second.scores) > 320  # but for frames still in the decoder
    np.testing.assert_allclose(second.scores[: 16 * 18], expected[: 16 * 18], atol=2e-5)
    assert 17 * 16 <= len(first.scores) <= 19 * 16
    np.testing.assert_allclose(first.scores, expected[: len(first.scores)], atol=2e-5)


def test_a_full_disk_and_a_file_that_is_no_video(watch, make_video, tmp_path, monkeypatch):
    (tmp_path / "text.ts").write_text("no video\n" * 99)
    code, out, err = watch(tmp_path / "text.ts")
    assert code == 1 and "0 snippets of 1 camera" in out and "text: " in err and "Traceback" not in err

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(journal, "os", SimpleNamespace(fsync=full, strerror=os.strerror))
    monkeypatch.setattr(watcher, "SYNC_SECONDS", 0.0)
    code, _, err = watch(make_video(tmp_path / "gate.ts", n_frames=40))
    assert code == 3 and "cannot be written (No space left on device); make space" in err and "Traceback" not in err


def test_two_hosts_on_one_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(only_watcher, "BEAT_SECONDS", 0.1)
    heart = tmp_path / "watching.json"
    heart.write_text(json.dumps({"host": "elsewhere", "by": "x", "beat": 1}))
    with only_watcher.only_watcher(tmp_path, tmp_path) as beat:  # it has died: it does not beat
        time.sleep(0.15)
        beat()
        heart.write_text(json.dumps({"host": "elsewhere", "by": "x", "beat": 1}))  # it was only slow
        time.sleep(0.15)
        with pytest.raises(ConfigError, match="`watch` on elsewhere has begun to write into it too: this one stops"):
            beat()
    heart.write_text(json.dumps({"host": "elsewhere", "by": "x", "beat": 1}))
    beats = threading.Timer(0.1, lambda: heart.write_text(json.dumps({"host": "elsewhere", "by": "x", "beat": 2})))
    beats.start()
    told = "`watch` on elsewhere is writing into it; give another --out"
    with pytest.raises(ConfigError, match=told), only_watcher.only_watcher(tmp_path, tmp_path):
        pass


@contextmanager
def serving(answers):
    """A camera on loopback: each connection to /cam is given the next of `answers`, None refuses it; /noise is none."""
    left, noise = list(answers), np.random.default_rng(0).bytes(20000)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            data = noise if self.path.startswith("/noise") else (left.pop(0) if left else None)
            if not left:
                server.served.set()
            self.send_response(503 if data is None else 200)
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *given):
            server.asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.served, server.asked = threading.Event(), []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def test_a_camera_that_goes_and_comes_back_is_a_gap_and_no_password_is_repeated(watch, detected, make_video, tmp_path):
    parts = [make_video(tmp_path / f"{n}.ts", n_frames=n, seed=n).read_bytes() for n in (20, 60)]
    (tmp_path / "both.ts").write_bytes(b"".join(parts))
    with serving([parts[0], *[None] * 4, parts[1], None]) as server:

        def interrupt():
            server.served.wait(100)
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt).start()
        host = f"me:{PASSWORD}@127.0.0.1:{server.server_port}"
        listed = tmp_path / "cameras"
        listed.write_text(f"# all\ngate=http://{host}/cam?token={PASSWORD}\n\nnoise=http://{host}/noise?{PASSWORD}\n")
        away, told = f"away=rtsp://me:{PASSWORD}@127.0.0.1:9/x", tmp_path / "told.jsonl"
        telling = ("--on-event", f"tee -a {told}", "--metrics", tmp_path / "vad.prom")
        code, out, err = watch("--cameras", listed, away, "--delay", "1", *telling)
    assert code == 0 and "5 snippets of 3 cameras in 1 video" in out, err
    assert "gate: Input/output error; tried again in 0.1 s" in err and "noise: Input/output error" in err
    assert "away: Connection refused; tried again in 0.1 s" in err
    (curve,) = Results.open(tmp_path / "live")
    np.testing.assert_allclose(curve.scores, detected(tmp_path / "both.ts", 1), atol=2e-5)
    (gap,) = curve.gaps
    assert gap.frame == 20 and gap.seconds > 2
    assert curve.source == "", "there is no footage"
    assert PASSWORD not in out + err + (tmp_path / "vad.prom").read_text()
    figures = dict(line.rsplit(" ", 1) for line in (tmp_path / "vad.prom").read_text().splitlines() if line[0] != "#")
    assert figures['vad_pipeline_snippets_total{camera="gate"}'] == "5" and figures["vad_pipeline_running"] == "0"
    assert int(figures['vad_pipeline_reconnects_total{camera="gate"}']) >= 5
    assert figures['vad_pipeline_receiving{camera="away"}'] == "0"
    assert 0 <= float(figures['vad_pipeline_lag_seconds{camera="gate"}']) < 60
    events = [json.loads(line) for line in (tmp_path / "live" / "events.jsonl").read_text().splitlines()]
    alarms = [json.loads(line) for line in told.read_text().splitlines()]
    assert events and len(alarms) == len(events) and {alarm["camera"] for alarm in alarms} == {"gate"}
    assert all(alarm["clip"] is None and "no footage to cut" in alarm["problem"] for alarm in alarms)
    for path in (tmp_path / "live").rglob("*"):
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes(), path


def test_cameras_that_the_machine_cannot_keep_up_with_are_refused(watch, make_video, tmp_path, monkeypatch):
    monkeypatch.setattr(ClipEncoder, "measure_rate", lambda self: 0.5)
    with serving([make_video(tmp_path / "a.ts", n_frames=40).read_bytes()]) as server:
        code, _, err = watch(f"gate=http://127.0.0.1:{server.server_port}/cam")
    assert code == 2 and "1 camera need 1.6 pictures/s embedded" in err and "this machine does 0.5" in err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "no camera: give SOURCE, or --cameras FILE"),
        (("nowhere.ts",), "nowhere.ts: is not there"),
        (("ftp://me:geheim7@host/x",), "ftp://host/x: expected rtsp, rtsps, http, https, a file, a device or -"),
        (("rtsp://me:ge@heim7/x@host/y",), "rtsp://(hidden): cannot name a camera; write NAME=rtsp://(hidden)"),
        (("a=rtsp://h/1", "a=rtsp://h/2"), "two cameras are called a: write NAME=SOURCE"),
        ((".",), ".: is a folder"),
        (("a/b=rtsp://h",), "is not there"),
    ],
)
def test_what_is_no_camera(watch, given, message):
    code, _, err = watch(*given)
    assert code == 2 and message in err and PASSWORD not in err and "heim7" not in err


def test_addresses_are_shown_without_what_is_secret():
    for where, shown in (
        ("rtsp://u:p@cam:554/live/1", "rtsp://cam:554/live/1"),
        ("http://cam/a.m3u8?token=x#y", "http://cam/a.m3u8"),
        ("http://cam?x=a@b", "http://(hidden)"),
        ("rtsp://u:p/w@cam/1", "rtsp://(hidden)"),
        ("rtsp://u:p@w@cam/1", "rtsp://cam/1"),
        ("/dev/video0", "/dev/video0"),
    ):
        assert address_of(where) == shown
    assert "p" not in repr(Source("cam", "rtsp://u:p@cam")).replace("Source", "")


def test_times_are_those_of_arrival_whatever_the_streams_clock_does():
    rng = np.random.default_rng(0)
    times = ArrivalTimes(is_live=True)
    arrived = 1000 + np.arange(3000) / 25 + rng.exponential(0.02, 3000)
    stamps = np.arange(3000) / 25.01
    stamps[500:] += 95443.7  # the stream's clock jumps ahead, and later back
    stamps[1500:] -= 200000.0
    given = [None if index % 700 == 699 else stamp for index, stamp in enumerate(stamps)]
    found = np.array([times.time_of(stamp, now) for stamp, now in zip(given, arrived, strict=True)])
    assert (np.diff(found) > 0.01).all() and (np.diff(found) < 0.07).all(), "even, no gap"
    assert np.abs(found - arrived).max() < 0.3
    late = times.time_of(None, arrived[-1] + 30)
    assert late == arrived[-1] + 30, "nothing was received for half a minute"
    of_a_file = ArrivalTimes(is_live=False)
    read = [of_a_file.time_of(index / 25, 1000 + index / 1000) for index in range(100)]
    np.testing.assert_allclose(np.diff(read), 0.04)
