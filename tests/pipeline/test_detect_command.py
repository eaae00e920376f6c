"""`vad-pipeline detect` and `events` end to end, with a seeded checkpoint and the toy tower."""

import csv
import errno
import json
import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from preloaded import Command
from seeded import seeded_checkpoint

from vad_pipeline.extract.command_line import command_for
from vad_pipeline.extract.embed.encoder_config import model_identity
from vad_pipeline.extract.recipe import DEFAULT_STILL_BOUND, NAMED_RECIPES
from vad_pipeline.extract.store import shards, versions
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.timings import Timings
from vad_pipeline.model import fastest
from vad_pipeline.pipeline.archive import detect_video

ROOT = Path(__file__).parent.parent.parent
FRAMES = {"a": 40, "cam/b": 1, "cam/c": 33}


@pytest.fixture(scope="module")
def archive(tmp_path_factory, make_video):
    """Three small videos."""
    folder = tmp_path_factory.mktemp("raw")
    for seed, (name, n_frames) in enumerate(FRAMES.items()):
        make_video(folder / f"{name}.mp4", n_frames=n_frames, seed=seed)
    return folder


@pytest.fixture(scope="module")
def recipe(toy_model):
    return replace(NAMED_RECIPES["quick"].recipe, model=model_identity(toy_model), weights="random:0")


@pytest.fixture(scope="module")
def checkpoint(recipe, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "seeded.safetensors"
    seeded_checkpoint(path, preset="ucf-crime", recipe=recipe, crop=0, seed=0)
    return path


@pytest.fixture
def detect(run_cli, tmp_path, checkpoint, toy_model):
    """detect(*arguments): score into tmp_path/out; with SRC first in arguments, extract too."""

    def run(*arguments, checkpoint=checkpoint, out="out"):
        footage = ("--model", toy_model, "--precision", "fp32") if arguments and isinstance(arguments[0], Path) else ()
        fixed = ("--store", tmp_path / "S", "--checkpoint", checkpoint, "--out", tmp_path / out, "--device", "cpu")
        return run_cli("detect", *arguments, *fixed, *footage)

    return run


def read_curves(out) -> dict[str, dict]:
    """With h5py alone."""
    curves = {}
    for path in (out / "curves").glob("*.h5"):
        with h5py.File(path) as file:
            for node in file["videos"].values():
                data = {name: node[name][()] for name in node}
                curves[node.attrs["video"]] = {**data, **dict(node.attrs)}
    return curves


def test_from_footage_to_curves(archive, detect, tmp_path, checkpoint, recipe):
    code, out, err = detect(archive, "--csv")
    assert code == 0 and "3 ok, 0 cached, 0 failed" in out, err
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert {"schema", "version", "preset", "categories", "recipe", "crop", "threshold", "checkpoint_sha256"} <= set(
        record
    )
    assert record["recipe_id"] == recipe.recipe_id and record["threshold"] == 0.5
    curves = read_curves(tmp_path / "out")
    assert {name: len(curve["score"]) for name, curve in curves.items()} == FRAMES
    for name, curve in curves.items():
        assert curve["score"].dtype == np.float32 and len(curve["frame_seconds"]) == FRAMES[name] == curve["n_frames"]
        assert (np.diff(curve["frame_seconds"]) > 0).all()
        assert curve["category"].shape == (-(-FRAMES[name] // 16), 14)
        np.testing.assert_allclose(curve["category"].sum(axis=1), 1, atol=1e-5)
        assert list(curve["categories"]) == record["categories"] and curve["snippet_len"] == 16
        with (tmp_path / "out" / "curves" / f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [float(row["score"]) for row in rows] == pytest.approx(curve["score"].tolist(), abs=1e-6)
        assert rows[0].keys() == {"frame", "seconds", "score", "category", "category_probability"}
        assert all(row["category"] in record["categories"][1:] for row in rows)
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "curves").glob("*.h5")}
    code, out, _ = detect(archive)
    assert code == 0 and "0 ok, 3 cached" in out
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "curves").glob("*.h5")} == before


def test_the_review_page_comes_with_it(archive, detect, tmp_path):
    code, out, err = detect(archive, "--report")
    assert code == 0 and f"3 videos, 0 failed; open {tmp_path / 'out' / 'report' / 'index.html'}" in out, err
    assert len(list((tmp_path / "out" / "report" / "data").glob("*.js"))) == 4


def test_events_follow_the_threshold(archive, detect, tmp_path, run_cli):
    detect(archive, "--threshold", "0")
    lines = [json.loads(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()]
    assert [line["video"] for line in lines] == sorted(FRAMES)
    expected = (
        "event_id video start_frame end_frame start_seconds end_seconds start_time end_time category "
        "category_probability peak_score peak_frame mark"
    )
    assert all(list(line) == expected.split() for line in lines)
    assert [(line["start_frame"], line["end_frame"]) for line in lines] == [(0, FRAMES[v]) for v in sorted(FRAMES)]
    code, out, _ = run_cli("events", tmp_path / "out", "--threshold", "1")
    assert code == 0 and (tmp_path / "out" / "events.jsonl").read_text() == "" and "0 events" in out
    assert json.loads((tmp_path / "out" / "run.json").read_text())["kept"]["threshold"] == 1
    assert run_cli("events", tmp_path / "out", "--threshold", "2")[0] == 2
    code, _, err = run_cli("events", tmp_path / "nowhere", "--threshold", "0.5")
    assert code == 2 and "no results" in err


def test_the_clock_reaches_events_and_stays(archive, detect, tmp_path):
    options = ("--threshold", "0")
    code, _, err = detect(archive, *options, "--clock", "%Y%m%d", "--timezone", "Nowhere/At_All")
    assert code == 2 and "no such zone" in err and not (tmp_path / "S").exists()
    copy = tmp_path / "dated"
    copy.mkdir()
    (copy / "x20261102.mp4").write_bytes((archive / "a.mp4").read_bytes())
    detect(copy, *options, "--clock", "x%Y%m%d", "--timezone", "Asia/Tokyo")
    assert detect(copy, *options)[0] == 0
    (row,) = map(json.loads, (tmp_path / "out" / "events.jsonl").read_text().splitlines())
    assert (row["start_time"], row["end_time"]) == ("2026-11-02T00:00:00.000+09:00", "2026-11-02T00:00:01.600+09:00")


def test_selection(archive, detect, tmp_path):
    detect(archive)
    code, out, _ = detect("--match", "cam/*", out="cam")
    assert code == 0 and set(read_curves(tmp_path / "cam")) == {"cam/b", "cam/c"}
    (tmp_path / "list.txt").write_text("c\nnothing\n")
    code, out, err = detect("--list", tmp_path / "list.txt", out="listed")
    assert code == 1 and set(read_curves(tmp_path / "listed")) == {"cam/c"} and "nothing" in err
    assert "3 videos would be scored" in detect("--dry-run", out="never")[1] and not (tmp_path / "never").exists()


def test_the_docs_examples_read_them(archive, detect, tmp_path, monkeypatch, capfd):
    detect(archive)
    (tmp_path / "results").symlink_to(tmp_path / "out")
    (tmp_path / "features").symlink_to(tmp_path / "S")
    monkeypatch.chdir(tmp_path)
    research = (ROOT / "docs" / "research.md").read_text()
    section = research[research.index("## Reading a curve and a store") :]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "research.md", "exec"), {})
        shown = capfd.readouterr().out
        assert all(shown.count(f"{video} ") == 2 for video in FRAMES), shown  # once as a curve, once as features


def test_only_the_named_footage_is_scored(archive, detect, tmp_path):
    detect(archive)
    code, _, _ = detect(archive / "a.mp4", out="one")
    assert code == 0 and set(read_curves(tmp_path / "one")) == {"a"}


def test_features_made_anew_are_scored_anew(archive, detect, tmp_path, make_video):
    video = make_video(tmp_path / "one" / "x.mp4", n_frames=20)
    detect(video)
    make_video(tmp_path / "one" / "x.mp4", n_frames=50, seed=8)
    code, out, _ = detect(video)
    assert code == 0 and "1 ok" in out and len(read_curves(tmp_path / "out")["x"]["score"]) == 50


def test_another_checkpoint_into_the_same_results(archive, detect, tmp_path, recipe):
    detect(archive)
    seeded_checkpoint(tmp_path / "other.safetensors", preset="ucf-crime", recipe=recipe, crop=0, seed=1)
    code, _, err = detect(checkpoint=tmp_path / "other.safetensors")
    assert code == 2 and "another checkpoint" in err and "another --out" in err
    assert set(read_curves(tmp_path / "out")) == set(FRAMES)


def test_features_of_another_recipe_are_refused_with_the_command_to_run(archive, detect, tmp_path, recipe):
    detect(archive)
    vadclip = replace(NAMED_RECIPES["vadclip"].recipe, weights="random:0")
    seeded_checkpoint(tmp_path / "vadclip.safetensors", preset="ucf-crime", recipe=vadclip, crop=5, seed=0)
    code, _, err = detect(checkpoint=tmp_path / "vadclip.safetensors", out="b")
    assert code == 2 and "vad-pipeline extract SRC" in err and "--crops 5 --pretrained random:0" in err
    code, _, err = detect("--any-recipe", "--crop", "0", checkpoint=tmp_path / "vadclip.safetensors", out="b")
    assert code == 0 and set(read_curves(tmp_path / "b")) == set(FRAMES)
    code, _, err = detect("--recipe", "ffff", out="c")
    assert code == 2 and "--recipe must name one of its recipes: " in err


def test_a_checkpoint_of_skipped_still_frames_has_footage_made_so(archive, detect, tmp_path, recipe):
    skipping = replace(recipe, still_bound=3)
    path = tmp_path / "skipping.safetensors"
    seeded_checkpoint(path, preset="ucf-crime", recipe=skipping, crop=0, seed=0)
    code, _, err = detect(archive, checkpoint=path)
    assert code == 0, err
    with EmbeddingStore(tmp_path / "S") as store:
        assert {entry.recipe_id for entry in store.entries()} == {skipping.recipe_id}
    assert json.loads((tmp_path / "out" / "run.json").read_text())["recipe"]["still_bound"] == 3
    code, _, err = detect(out="other")  # the checkpoint of every frame
    assert code == 2 and "still_bound None != 3.0" in err and "--skip-still" not in err
    for bound, options in ((3, "--skip-still --still-bound 3.0 "), (DEFAULT_STILL_BOUND, "--skip-still --crops")):
        command = command_for(store.path, replace(recipe, still_bound=bound), 0)
        assert options in command


def test_a_crop_that_is_not_held(archive, detect, tmp_path):
    detect(archive)
    code, _, err = detect("--crop", "5", out="b")
    assert code == 2 and "crop 5" in err and "--crops 5" in err
    code, _, err = detect(archive / "a.mp4", "--crop", "5", out="c")  # with SRC it is made
    assert code == 0, err
    code, out, err = detect("--crop", "5", out="d")  # now one of three holds it
    assert code == 1 and "1 ok, 0 cached, 2 failed" in out and "extract it with --crops 5" in err


def test_an_empty_store_and_no_store(detect, tmp_path):
    code, _, err = detect()
    assert code == 2 and "no feature store" in err
    EmbeddingStore(tmp_path / "S", create=True).close()
    code, _, err = detect()
    assert code == 2 and "holds no videos" in err and "vad-pipeline extract" in err


@pytest.mark.parametrize(
    ("content", "words"), [(None, "no such"), (b"", "empty"), (b"no checkpoint" * 99, "DSANet's or VadCLIP's .pth")]
)
def test_a_checkpoint_that_is_none(detect, tmp_path, content, words):
    path = tmp_path / "bad.pth"
    if content is not None:
        path.write_bytes(content)
    code, _, err = detect(checkpoint=path)
    assert code == 2 and words in err and "bad.pth" in err and "Traceback" not in err


def test_failed_footage_costs_only_itself(archive, detect, tmp_path, make_video):
    make_video(tmp_path / "raw" / "good.mp4")
    (tmp_path / "raw" / "bad.mp4").write_text("text")
    code, out, err = detect(tmp_path / "raw")
    assert code == 1 and set(read_curves(tmp_path / "out")) == {"good"} and "bad.mp4" in err
    (tmp_path / "raw" / "good.mp4").unlink()
    code, out, err = detect(tmp_path / "raw", out="b")
    assert code == 0 and "Traceback" not in err, "what failed before and has not changed is no news"


def test_nan_features_cost_one_video(archive, detect, tmp_path):
    detect(archive)
    with EmbeddingStore(tmp_path / "S") as store:
        for shard in (tmp_path / "S" / "shards").glob("*.h5"):
            with h5py.File(shard, "r+") as file:
                for node in file["videos"].values():
                    if node.attrs["video"] == "a":
                        node["features"][0, 0, 0] = np.nan
        store.catalogue.sync()
    code, out, err = detect(out="b")
    assert code == 1 and "2 ok, 0 cached, 1 failed" in out and "not finite" in err


def test_footage_options_without_footage_are_refused(detect):
    for option in (
        "--pretrained random:0",
        "--model ViT-B-16",
        "--force",
        "--decoder decord",
        "--id-root x",
        "--runtime torch",
    ):
        code, _, err = detect(*option.split())
        assert code == 2 and "give SRC" in err


def test_bf16_scores_are_no_fp32_scores(archive, detect, tmp_path):
    assert detect(archive / "a.mp4")[0] == 0
    exact = read_curves(tmp_path / "out")
    code, out, _ = detect("--precision", "bf16")
    assert code == 0 and "1 ok, 0 cached" in out
    rough = read_curves(tmp_path / "out")
    apart = max(np.abs(rough[name]["score"] - exact[name]["score"]).max() for name in exact)
    assert 0 < apart <= 0.01
    assert "0 ok, 1 cached" in detect("--precision", "bf16")[1]
    assert "1 ok, 0 cached" in detect("--precision", "fp32")[1]
    assert detect("--precision", "fp16")[0] == 2


def test_auto_takes_the_fastest_precision_and_stays_with_it(archive, detect, tmp_path, monkeypatch):
    def timed(seconds):
        known = Timings(
            "detect", "machine", {}, "2026-01-01", dict(zip(("torch fp32", "torch bf16"), seconds, strict=True))
        )
        monkeypatch.setattr(fastest, "time_scoring", lambda device: known)

    timed((2.0, 1.0))
    assert detect(archive / "a.mp4")[0] == 0  # fp32, as this test's --precision asks
    assert json.loads((tmp_path / "out" / "run.json").read_text())["precision"] == "fp32"
    assert "0 ok, 1 cached" in detect()[1], "curves in fp32 stay, though bf16 is faster"
    assert detect(out="other")[0] == 0
    record = json.loads((tmp_path / "other" / "run.json").read_text())
    assert (record["precision"], record["timed"]) == ("bf16", "torch fp32 2.00, torch bf16 1.00")
    timed((1.0, 2.0))
    assert "0 ok, 1 cached" in detect(out="other")[1]
    assert json.loads((tmp_path / "other" / "run.json").read_text())["timed"] == record["timed"]


def test_a_table_does_not_outlive_its_curve(archive, detect, tmp_path, make_video):
    make_video(tmp_path / "raw" / "a.mp4", n_frames=32)
    detect(tmp_path / "raw", "--csv")
    make_video(tmp_path / "raw" / "a.mp4", n_frames=80)
    assert detect(tmp_path / "raw")[0] == 0
    assert not (tmp_path / "out" / "curves" / "a.csv").exists()
    assert "1 ok, 0 cached" in detect("--csv")[1]
    assert len((tmp_path / "out" / "curves" / "a.csv").read_text().splitlines()) == 1 + 80


def test_the_last_curve_counts_though_the_clock_was_set_back(archive, detect, tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "time", SimpleNamespace(time_ns=lambda: 4 * 10**18, time=time.time))
    assert detect(archive)[0] == 0
    monkeypatch.undo()
    assert detect("--precision", "bf16", "--match", "a")[0] == 0
    assert "0 ok, 1 cached" in detect("--precision", "bf16", "--match", "a")[1]


def test_a_store_that_cannot_be_read_any_more_stops_the_run(archive, detect, tmp_path, monkeypatch):
    assert detect(archive)[0] == 0

    error = OSError(errno.EIO, "Input/output error")
    monkeypatch.setattr(detect_video, "read_entry", lambda *_: shards.refuse_unreadable(tmp_path / "S", error))
    code, _, err = detect(out="b")
    assert code == 3 and err.count("Input/output error") == 1


def test_a_selection_that_leaves_nothing(archive, detect, tmp_path):
    assert detect(archive)[0] == 0
    code, _, err = detect("--match", "typo*", out="b")
    assert code == 2 and "no video is left" in err and not (tmp_path / "b").exists()
    (tmp_path / "labels.csv").write_text("video,label,split\na,Normal,train\n")
    code, _, err = detect("--only", tmp_path / "labels.csv", "--split", "tset", out="b")
    assert code == 2 and "no row is of split tset; there are train" in err


def test_a_dry_run_counts_what_is_there(archive, detect):
    assert detect(archive, "--match", "a")[0] == 0
    detect(archive, "--match", "a", out="elsewhere")
    assert "0 videos would be scored" in detect("--dry-run")[1]
    code, out, _ = detect("--dry-run", out="new")
    assert code == 0 and "1 video would be scored" in out and "0 are there already" in out


def test_settings_out_of_range(detect):
    for arguments, words in [
        (["--threshold", "1.5"], "0 to 1"),
        (["--merge-gap", "-1"], "negative"),
        (["--crop", "10"], "0 to 9"),
    ]:
        code, _, err = detect(*arguments)
        assert code == 2 and words in err


@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGKILL])
def test_an_interrupted_detect_keeps_what_it_reported_and_goes_on(tmp_path, run_cli, how):
    features = np.random.default_rng(0).standard_normal((600, 512)).astype(np.float16)
    rows = []
    for index in range(30):
        np.save(tmp_path / f"v{index}.npy", features + np.float16(index))
        rows.append(f"v{index}.npy,\n")
    (tmp_path / "list.csv").write_text("".join(rows))
    seeded_checkpoint(
        tmp_path / "c.safetensors", preset="ucf-crime", recipe=NAMED_RECIPES["quick"].recipe, crop=0, seed=0
    )
    run_cli("store", "import", tmp_path / "list.csv", "--store", tmp_path / "S", "--like", "quick")
    arguments = [
        "detect",
        "--store",
        tmp_path / "S",
        "--checkpoint",
        tmp_path / "c.safetensors",
        "--out",
        tmp_path / "out",
    ]
    process = Command(arguments)
    deadline = time.monotonic() + 120
    outcomes = tmp_path / "out" / "outcomes"
    while not any(p.read_text().count("\n") >= 2 for p in outcomes.glob("*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, how)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (130, -9) and "Traceback" not in err
    reported = {json.loads(line)["video"] for p in outcomes.glob("*") for line in p.read_text().splitlines()}
    kept = read_curves(tmp_path / "out")
    assert 2 <= len(reported) < 30 and reported <= set(kept)
    assert not (tmp_path / "out" / "events.jsonl").exists()  # never a half list
    code, out, _ = run_cli(*arguments)
    assert code == 0 and f"{30 - len(kept)} ok, {len(kept)} cached" in out
    assert all(
        np.array_equal(curve["score"], read_curves(tmp_path / "out")[name]["score"]) for name, curve in kept.items()
    )


def test_footage_that_fails_now_is_not_scored_from_before(archive, detect, tmp_path, make_video):
    for name in "ab":
        make_video(tmp_path / "raw" / f"{name}.mp4", seed=ord(name))
    detect(tmp_path / "raw")
    (tmp_path / "raw" / "a.mp4").write_text("no video any more")
    code, out, err = detect(tmp_path / "raw", out="again")
    assert code == 1 and set(read_curves(tmp_path / "again")) == {"b"} and "a.mp4" in err


def test_another_runs_curves_are_in_the_events(archive, detect, tmp_path):
    from vad_pipeline.pipeline.results.event_rows import write_events
    from vad_pipeline.pipeline.results.folder import Results

    detect(archive / "a.mp4", "--threshold", "0")
    early = Results(tmp_path / "out")
    detect(archive, "--threshold", "0")
    early.merge()
    assert write_events(early).n_events == len(FRAMES)


def test_results_taken_for_a_store_and_the_other_way_round(archive, detect, tmp_path):
    detect(archive)
    code, _, err = detect(out="S")
    assert code == 2 and "is a feature store" in err


def test_a_clash_is_told_before_anything_is_extracted(archive, detect, tmp_path, recipe, make_video):
    detect(archive)
    seeded_checkpoint(tmp_path / "other.safetensors", preset="ucf-crime", recipe=recipe, crop=0, seed=1)
    new = make_video(tmp_path / "new.mp4")
    code, _, err = detect(new, checkpoint=tmp_path / "other.safetensors")
    assert code == 2 and "another checkpoint" in err
    with EmbeddingStore(tmp_path / "S") as store:
        assert "new" not in [entry.video for entry in store.entries()]


def test_curves_of_another_checkpoint_are_not_taken_over_without_a_run_json(archive, detect, tmp_path, recipe):
    detect(archive)
    (tmp_path / "out" / "run.json").unlink()
    seeded_checkpoint(tmp_path / "other.safetensors", preset="ucf-crime", recipe=recipe, crop=0, seed=1)
    code, out, _ = detect(checkpoint=tmp_path / "other.safetensors")
    assert code == 0 and "3 ok, 0 cached" in out


def test_damaged_features_of_one_video_cost_only_it(archive, detect, tmp_path):
    detect(archive)
    (shard,) = (tmp_path / "S" / "shards").glob("*.h5")
    with h5py.File(shard, "r+") as file:
        node = next(node for node in file["videos"].values() if node.attrs["video"] == "a")
        del node["snippet_seconds"]
    code, out, err = detect(out="b")
    assert code == 1 and "2 ok, 0 cached, 1 failed" in out and "[unreadable]" in err


def test_two_workers_make_the_curves_that_one_process_makes(archive, detect, tmp_path):
    detect(archive)
    code, out, err = detect("--workers", "2", "--csv", out="parallel")
    assert code == 0 and "3 ok, 0 cached, 0 failed" in out, err
    alone, parallel = read_curves(tmp_path / "out"), read_curves(tmp_path / "parallel")
    assert alone.keys() == parallel.keys() == FRAMES.keys()
    for name in FRAMES:
        assert np.allclose(alone[name]["score"], parallel[name]["score"], atol=1e-6)
        assert (tmp_path / "parallel" / "curves" / f"{name}.csv").exists()
    assert "0 ok, 3 cached" in detect("--workers", "2", "--csv", out="parallel")[1]


def test_curves_below_the_threshold_are_not_read_for_events(archive, detect, tmp_path, run_cli, monkeypatch):
    from vad_pipeline.pipeline.results.folder import Results

    detect(archive)
    peaks = {name: float(curve["score"].max()) for name, curve in read_curves(tmp_path / "out").items()}
    read, real = [], Results._read
    monkeypatch.setattr(Results, "_read", lambda self, name: read.append(name) or real(self, name))
    for threshold in sorted(peaks.values()):  # a score at the threshold belongs to an event
        read.clear()
        assert run_cli("events", tmp_path / "out", "--threshold", threshold)[0] == 0
        events = map(json.loads, (tmp_path / "out" / "events.jsonl").read_text().splitlines())
        expected = {name for name, peak in peaks.items() if peak >= threshold}
        assert {event["video"] for event in events} == expected and len(read) == len(expected)


@pytest.mark.parametrize("attribute", [True, False])
def test_a_damaged_curve_is_scored_again_in_the_same_run(archive, detect, tmp_path, attribute):
    detect(archive, "--threshold", "0")
    (shard,) = (tmp_path / "out" / "curves").glob("*.h5")
    with h5py.File(shard, "r+") as file:
        node = next(node for node in file["videos"].values() if node.attrs["video"] == "a")
        before = node["score"][()]
        if attribute:
            del node.attrs["made_from"]
        else:
            node["score"][3] = 0.123
    code, out, err = detect(archive)
    assert code == 0 and "1 ok" in out and f"{len(FRAMES)} events" in out, err
    assert np.array_equal(read_curves(tmp_path / "out")["a"]["score"], before)
    assert len(list((tmp_path / "out" / "curves").glob("*.h5"))) == 1
