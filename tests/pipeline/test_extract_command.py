"""`vad-pipeline extract` end to end: good input, every kind of bad input, and going on after interruptions."""

import json
import os
import re
import signal
import socket
import time
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
from preloaded import Command

from vad_pipeline.extract.embed import download
from vad_pipeline.extract.store import upkeep
from vad_pipeline.extract.store.embedding_store import EmbeddingStore


@pytest.fixture
def extract(run_cli, tmp_path, toy_model):
    """extract(*arguments) into one store with the toy tower and recipe quick."""

    def run(*arguments, like="quick", pretrained="random:0", model=toy_model):
        return run_cli(
            "extract", *arguments, "--store", tmp_path / "S", "--like", like, "--pretrained", pretrained,
            "--model", model, "--device", "cpu", "--precision", "fp32",
        )  # fmt: skip

    return run


def last_outcomes(store) -> dict[str, dict]:
    newest = max(store.glob("outcomes/*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    lines = map(json.loads, newest.read_text().splitlines())
    return {line["video"]: line for line in lines if "video" in line}  # others count the cached ones


def shard_states(store) -> dict:
    return {path.name: path.stat().st_mtime_ns for path in (store / "shards").glob("*.h5")}


def test_what_another_user_remembers_may_be_unreadable(tmp_path, make_video, extract, caplog):
    make_video(tmp_path / "raw" / "a.mp4")
    (tmp_path / "S" / "outcomes" / "run.jsonl").mkdir(parents=True)
    assert extract(tmp_path / "raw")[0] == 0 and "run.jsonl: passed over, cannot be read" in caplog.text


def test_extract_twice(tmp_path, make_video, extract):
    for index in range(3):
        make_video(tmp_path / "raw" / f"cam{index}" / "a.mp4", n_frames=20 + index, seed=index)
    code, out, err = extract(tmp_path / "raw")
    assert code == 0 and "3 ok, 0 cached, 0 failed" in out, err
    with EmbeddingStore(tmp_path / "S") as store:
        assert [(e.video, e.n_frames, e.n_snippets) for e in store.entries()] == [
            ("cam0/a", 20, 2), ("cam1/a", 21, 2), ("cam2/a", 22, 2)
        ]  # fmt: skip
        assert list(upkeep.verify(store)) == [] and len(store.catalogue.shards()) == 1  # merged at the end
    line = last_outcomes(tmp_path / "S")["cam0/a"]
    expected = "run_id time host video path status code error warnings n_frames recipe_id seconds"
    assert set(expected.split()) <= set(line) and line["status"] == "ok"
    before = shard_states(tmp_path / "S")
    code, out, _ = extract(tmp_path / "raw")
    assert code == 0 and "0 ok, 3 cached, 0 failed" in out and shard_states(tmp_path / "S") == before
    assert last_outcomes(tmp_path / "S") == {}  # they are counted


def test_only_what_changed_is_done_again(tmp_path, make_video, extract):
    raw = tmp_path / "raw"
    for name in "abc":
        make_video(raw / f"{name}.mp4", seed=ord(name))
    extract(raw)
    os.utime(raw / "a.mp4", ns=(5, 5))  # touched
    make_video(raw / "b.mp4", seed=99, n_frames=50)  # changed
    (raw / "d.mp4").write_bytes((raw / "c.mp4").read_bytes())  # the same content under another name
    code, out, err = extract(raw)
    assert code == 0 and "2 ok, 2 cached, 0 failed" in out
    lines = last_outcomes(tmp_path / "S")
    assert {video: line["status"] for video, line in lines.items()} == {"b": "ok", "d": "ok"}
    assert "same content as c" in lines["d"]["warnings"][0] and lines["d"]["seconds"] == {}
    assert "4 ok, 0 cached" in extract(raw, "--force")[1]


def test_missing_crops_are_added_to_those_held(tmp_path, make_video, extract):
    make_video(tmp_path / "raw" / "a.mp4")
    extract(tmp_path / "raw", "--crops", "0,5")
    extract(tmp_path / "raw", "--crops", "1,5")
    with EmbeddingStore(tmp_path / "S") as store:
        (entry,) = store.entries()
        assert entry.crop_numbers == (0, 1, 5)
        added = store.get(entry).features
    code, out, _ = extract(tmp_path / "raw", "--crops", "0,1,5", "--force")
    with EmbeddingStore(tmp_path / "S") as store:
        assert (store.get(store.entries()[0]).features == added).all()


def test_single_changes_make_other_recipes(tmp_path, make_video, extract):
    make_video(tmp_path / "raw" / "a.mp4")
    for change in (
        [],
        ["--geometry", "vadclip"],
        ["--frames-per-snippet", "4"],
        ["--tail", "drop"],
        ["--decoder", "decord"],
    ):
        assert extract(tmp_path / "raw", *change)[0] == 0
    extract(tmp_path / "raw", pretrained="random:1")
    extract(tmp_path / "raw", like="vadclip")
    with EmbeddingStore(tmp_path / "S") as store:
        assert len({entry.recipe_id for entry in store.entries()}) == 7


@pytest.fixture
def still_video(tmp_path) -> Path:
    """80 frames of one picture, but for a square in the last 20."""
    frames = np.full((80, 96, 128, 3), 90, np.uint8)
    frames[60:, 16:48, 16:48] = 240
    path = tmp_path / "raw" / "still.mkv"
    path.parent.mkdir()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_still_frames_are_skipped_and_counted(tmp_path, still_video, extract, run_cli):
    code, out, err = extract("--skip-still", still_video.parent)  # the path is none of the option's
    assert code == 0 and "1 ok" in out, err
    line = last_outcomes(tmp_path / "S")["still"]
    assert line["still_share"] == 1 - 2 / 5
    assert "still: 60% of sampled frames" in run_cli("status", tmp_path / "S")[1]
    assert json.loads(run_cli("status", tmp_path / "S", "--json")[1])["runs"][-1]["still_share"] == 0.6
    (shard,) = (tmp_path / "S" / "shards").glob("*.h5")
    with h5py.File(shard) as file:
        (node,) = file["videos"].values()
        features = node["features"][0]
        assert node.attrs["still_share"] == 0.6 and json.loads(node.attrs["recipe"])["still_bound"] == 12.0
    assert (features[:4] == features[0]).all() and (features[4] != features[0]).any()


def test_features_with_still_frames_skipped_are_others(tmp_path, still_video, extract):
    for options in ([], ["--skip-still"], ["--skip-still", "--still-bound", "3"]):
        assert "1 ok, 0 cached" in extract(still_video.parent, *options)[1]
    assert "0 ok, 1 cached" in extract(still_video.parent, "--skip-still", "--still-bound", "12")[1]
    assert "1 ok, 0 cached" in extract(still_video.parent, "--skip-still", "--crops", "5")[1]  # added
    with EmbeddingStore(tmp_path / "S") as store:
        recipes = [json.loads(entry.recipe).get("still_bound") for entry in store.entries()]
        assert sorted(recipes, key=str) == [12.0, 3.0, None]
    assert last_outcomes(tmp_path / "S")["still"]["still_share"] == 0.6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--still-bound", "8"], "--skip-still takes a frame for still: give both"),
        (["--skip-still", "--still-bound", "0"], "still bound must lie above 0, up to 255, got 0.0"),
        (["--skip-still", "--still-bound", "nan"], "up to 255, got nan"),
        (["--skip-still", "--still-bound", "many"], "'many' is not a valid float"),
    ],
)
def test_bounds_that_cannot_be(still_video, extract, options, said):
    code, _, err = extract(still_video.parent, *options)
    assert code == 2 and said in err


BAD = {
    "text.mp4": "not_a_video",
    "empty.mp4": "zero_bytes",
    "audio.mkv": "no_video_stream",
    "encrypted.mp4": "encrypted",
    "no_frames.mp4": "no_frames",
}


def test_each_bad_file_is_one_sentence_and_costs_nothing_else(tmp_path, make_video, extract, shared):
    raw = tmp_path / "raw"
    good = {"one.mp4": {"n_frames": 1}, "odd.mp4": {"width": 50, "height": 34}, "tiny.mp4": {"width": 2, "height": 2}}
    for name, options in good.items():
        make_video(raw / name, **options)
    (raw / "text.mp4").write_text("not a video " * 50)
    (raw / "empty.mp4").touch()
    broken = shared / "videos" / "broken"
    (raw / "audio.mkv").write_bytes((broken / "linphone_leaving_dreams_audio_only.mkv").read_bytes())
    (raw / "encrypted.mp4").write_bytes((broken / "mp4parse_short-cenc.mp4").read_bytes())
    (raw / "no_frames.mp4").write_bytes((broken / "mp4parse_invalid_userdata.mp4").read_bytes())
    code, out, err = extract(raw, raw / "missing.mp4")
    assert code == 1 and "3 ok, 0 cached, 6 failed" in out and "Traceback" not in err
    lines = last_outcomes(tmp_path / "S")
    for name, failure in {**BAD, "missing.mp4": "unreadable"}.items():
        line = lines[name.rsplit(".", 1)[0]]
        assert line["status"] == "failed" and line["code"] == failure
        told = [text for text in err.splitlines() if name in text]
        assert len(told) == 1 and failure in told[0], told
    before = shard_states(tmp_path / "S")
    code, out, err = extract(raw)  # nothing is decoded, nothing is retried
    assert code == 0 and "0 ok, 3 cached, 5 failed (5 before)" in out and shard_states(tmp_path / "S") == before
    assert all("failed before" in line["error"] for line in last_outcomes(tmp_path / "S").values() if line["code"])
    extract(raw)
    assert all((line["error"] or "").count("failed before") < 2 for line in last_outcomes(tmp_path / "S").values())
    code, _, _ = extract(raw, "--retry-failed")
    assert not any("failed before" in (line["error"] or "") for line in last_outcomes(tmp_path / "S").values())
    (raw / "text.mp4").unlink()
    make_video(raw / "text.mp4", seed=5)  # the file changed: it is tried again
    assert "1 ok, 3 cached, 4 failed" in extract(raw)[1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing"], 2, "no such file or folder"),
        (["empty_folder"], 2, "no videos in this folder"),
        (["raw", "--model", "ViT-Z"], 2, "open_clip has no such model"),
        (["raw", "--pretrained", "nonsense"], 2, "no such file"),
        (["raw", "--crops", "0,12"], 2, "0 to 9"),
        (["raw", "--crops", "a"], 2, "not a list of numbers"),
        (["raw", "--frames-per-snippet", "17"], 2, "1 to 16"),
        (["raw", "--device", "cuda:9"], 2, "CUDA devices"),
        (["raw", "--decoder", "nvdec"], 2, "CUDA devices"),
        (["raw", "--list", "nowhere.txt"], 2, "nowhere.txt"),
        (["raw", "--store", "newer"], 3, "schema 99"),
        (["raw", "--store", "occupied"], 2, "not empty"),
        ([], 2, "give SRC"),
    ],
)
def test_usage_mistakes(tmp_path, make_video, run_cli, toy_model, monkeypatch, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "raw" / "a.mp4")
    (tmp_path / "empty_folder").mkdir()
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "store.json").write_text('{"schema": 99}')
    (tmp_path / "occupied").mkdir()
    (tmp_path / "occupied" / "thesis.doc").touch()
    defaults = {"--model": toy_model, "--pretrained": "random:0", "--device": "cpu"}
    if "nvdec" in arguments:
        defaults.pop("--device")
    extra = [part for option, value in defaults.items() if option not in arguments for part in (option, value)]
    got, out, err = run_cli("extract", *arguments, *extra)
    assert got == code and words in err and "Traceback" not in err


def test_fail_fast_stops_at_the_first_failure(tmp_path, make_video, extract):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.mp4").touch()
    make_video(tmp_path / "raw" / "b.mp4")
    code, out, _ = extract(tmp_path / "raw", "--fail-fast")
    assert code == 1 and "0 ok, 0 cached, 1 failed" in out


def test_dry_run_says_that_still_scenes_take_less(still_video, extract):
    assert "less where scenes are still" in extract(still_video.parent, "--dry-run", "--skip-still")[1]


def test_dry_run_does_nothing_but_estimate(tmp_path, make_video, extract):
    make_video(tmp_path / "raw" / "a.mp4")
    code, out, _ = extract(tmp_path / "raw", "--dry-run")
    assert code == 0 and not (tmp_path / "S").exists()
    assert re.search(r"1 video \(0.00 h by header, 40 frames, 3 images\) to extract", out)
    assert re.search(
        r"estimate: .* on this machine \(measured just now: [\d.]+ images/s, \d+ frames/s decoded\); 1 MB in the store",
        out,
    )
    extract(tmp_path / "raw")
    assert "0 videos" in extract(tmp_path / "raw", "--dry-run")[1]


def test_a_dry_run_of_many_files_is_short_and_says_that_weights_are_missing(tmp_path, make_video, extract, monkeypatch):
    video = make_video(tmp_path / "raw" / "v0.mp4")
    for index in range(1, 23):
        os.link(video, video.with_name(f"v{index}.mp4"))
    monkeypatch.setattr(download, "is_to_be_downloaded", lambda model, pretrained: True)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr("socket.create_connection", no_internet)
    _, out, err = extract(tmp_path / "raw", "--dry-run")
    assert out.count("\n") == 20 + 3 and "and 3 more" in out
    assert "could not be downloaded (huggingface.co: Name or service not known). Without internet: give a" in err


def test_without_weights_and_internet_nothing_is_waited_for_nor_made(tmp_path, make_video, run_cli, monkeypatch):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, name: None)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr("socket.create_connection", no_internet)
    monkeypatch.setattr("open_clip.create_model", pytest.fail)  # which tries again for minutes
    make_video(tmp_path / "raw" / "a.mp4")
    code, _, err = run_cli("extract", tmp_path / "raw", "--store", tmp_path / "S", "--device", "cpu")
    assert code == 2 and "CLIP weights 'openai' for ViT-B-16-quickgelu could not be downloaded" in err
    assert not (tmp_path / "S").exists()
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, name: "/a/file")
    assert download.download_note("ViT-B-16-quickgelu", "openai") == ()


def no_internet(address, seconds):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_quiet_shows_failures_only(tmp_path, make_video, extract):
    make_video(tmp_path / "raw" / "a.mp4")
    (tmp_path / "raw" / "b.mp4").touch()
    _, out, err = extract(tmp_path / "raw", "--quiet")
    assert out == "" and [line[:6] for line in err.splitlines() if not line.startswith("note:")] == ["failed"]


def test_an_unexpected_error_costs_one_video(tmp_path, make_video, extract, monkeypatch):
    import vad_pipeline.extract.embed.embed_video as embed

    for name in "ab":
        make_video(tmp_path / "raw" / f"{name}.mp4", seed=ord(name))
    real = embed.embed_video

    def faulty(*args, video_id, **kwargs):
        if video_id == "a":
            raise ZeroDivisionError("a bug of ours")
        return real(*args, video_id=video_id, **kwargs)

    monkeypatch.setattr(embed, "embed_video", faulty)
    code, out, err = extract(tmp_path / "raw")
    assert code == 1 and "1 ok, 0 cached, 1 failed" in out and "a bug of ours" in err and "Traceback" not in err
    assert last_outcomes(tmp_path / "S")["a"]["code"] == "unexpected"


def test_ten_unexpected_errors_in_a_row_stop_the_run(tmp_path, make_video, extract, monkeypatch):
    import vad_pipeline.extract.embed.embed_video as embed

    make_video(tmp_path / "raw" / "0.mp4")
    for index in range(1, 15):
        (tmp_path / "raw" / f"{index}.mp4").write_bytes((tmp_path / "raw" / "0.mp4").read_bytes() + bytes(index))

    def faulty(*args, **kwargs):
        raise RuntimeError("device lost")

    monkeypatch.setattr(embed, "embed_video", faulty)
    code, _, err = extract(tmp_path / "raw")
    assert code == 3 and "10 videos in a row" in err and len(last_outcomes(tmp_path / "S")) == 10


def test_a_full_disk_stops_the_run_and_keeps_what_is_finished(tmp_path, make_video, extract, monkeypatch):
    from vad_pipeline.extract.store import shards

    for name in "abc":
        make_video(tmp_path / "raw" / f"{name}.mp4", seed=ord(name))
    real, written = os.fsync, []

    def full(descriptor):
        written.append(descriptor)
        if len(written) > 4:  # the store's head and the first video, each with its folder
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(shards.os, "fsync", full)
    code, _, err = extract(tmp_path / "raw")
    assert code == 3 and "No space left on device" in err and "Traceback" not in err
    monkeypatch.undo()
    with EmbeddingStore(tmp_path / "S") as store:
        assert [entry.video for entry in store.entries()] == ["a"]
    assert "2 ok, 1 cached, 0 failed" in extract(tmp_path / "raw")[1]


@pytest.fixture
def long_archive(tmp_path, make_video):
    """Videos that take a while in all: the recipe embeds every frame."""
    for index in range(12):
        make_video(tmp_path / "raw" / f"{index:02}.mp4", n_frames=160, seed=index)
    return tmp_path / "raw"


def start(tmp_path, archive, toy_model) -> Command:
    return Command(
        ["extract", archive, "--store", tmp_path / "S", "--pretrained", "random:0", "--model", toy_model]
        + ["--device", "cpu", "--precision", "fp32"]
    )


def reported_ok(store) -> set[str]:
    done = set()
    for path in store.glob("outcomes/*.jsonl"):
        for line in path.read_text().splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue  # cut off by the kill
            if record.get("status") == "ok":
                done.add(record["video"])
    return done


@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long)]
)
def test_interrupted_runs_keep_what_they_reported_and_go_on(tmp_path, long_archive, toy_model, run_cli, how, code):
    process = start(tmp_path, long_archive, toy_model)
    deadline = time.monotonic() + 120
    while len(reported_ok(tmp_path / "S")) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, how)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in err
    done = reported_ok(tmp_path / "S")
    assert 3 <= len(done) < 12
    with EmbeddingStore(tmp_path / "S") as store:
        held = {entry.video for entry in store.entries()}
        assert done <= held and list(upkeep.verify(store)) == [] and not store.problems
    got, out, _ = run_cli(
        "extract", long_archive, "--store", tmp_path / "S", "--pretrained", "random:0", "--model", toy_model,
        "--device", "cpu", "--precision", "fp32",
    )  # fmt: skip
    assert got == 0 and f"{12 - len(held)} ok, {len(held)} cached, 0 failed" in out
