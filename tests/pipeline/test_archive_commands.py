"""check, status, store rm, and what a live archive asks of extract: --part, --settle, --max-failed, --metrics."""

import json
import os
import re
import time

import pytest

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.merge_lock import merging
from vad_pipeline.pipeline.archive.limits import FailureLimit

N_GOOD = 5


@pytest.fixture(scope="module")
def archive(tmp_path_factory, make_video):
    """Five videos, one that is empty, one that is text."""
    folder = tmp_path_factory.mktemp("archive")
    for index in range(N_GOOD):
        make_video(folder / "cam" / f"v{index}.mp4", n_frames=40, seed=index, fps=25)
    (folder / "empty.mp4").touch()
    (folder / "text.avi").write_text("no video")
    return folder


@pytest.fixture
def extract(run_cli, tmp_path, archive, toy_model):
    fixed = ("--store", tmp_path / "S", "--like", "quick", "--pretrained", "random:0", "--model", toy_model)
    return lambda *more, src=archive: run_cli("extract", src, *fixed, "--device", "cpu", *more)


def held(tmp_path) -> list[str]:
    with EmbeddingStore(tmp_path / "S") as store:
        return [entry.video for entry in store.entries()]


@pytest.mark.parametrize("options", [(), ("--deep",), ("--deep", "--workers", "1", "--video-timeout", "60")])
def test_check_tells_what_is_there_and_what_will_fail(archive, run_cli, options):
    code, out, err = run_cli("check", archive, "--json", *options)
    rows = {row["video"]: row for row in map(json.loads, out.splitlines())}
    assert code == 1 and len(rows) == N_GOOD + 2, err
    assert (rows["empty"]["code"], rows["text"]["code"]) == ("zero_bytes", "not_a_video")
    row = rows["cam/v0"]
    assert (row["codec"], row["width"], row["height"], row["fps"]) == ("h264", 64, 48, 25)
    assert row["variable_rate"] is False and row["seconds"] == pytest.approx(1.6) and row["route"] == "pyav cpu"
    assert row["n_frames_header"] == 40 and row["n_frames"] == (40 if "--deep" in options else None)
    code, out, _ = run_cli("check", archive, "--match", "cam/*", *options)
    assert code == 0 and "5 videos: 5 will do" in out and "0 will fail" in out
    assert all(line.endswith("  ok") for line in out.splitlines()[1:-1])


def test_check_counts_frames_against_the_header(tmp_path, make_video, run_cli):
    data = make_video(tmp_path / "whole.mkv", n_frames=60).read_bytes()
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "cut.mkv").write_bytes(data[: len(data) // 2])
    _, out, _ = run_cli("check", tmp_path / "raw", "--deep", "--json")
    (row,) = map(json.loads, out.splitlines())
    assert row["code"] is None and 0 < row["n_frames"] < 60


def test_check_sees_a_variable_rate(shared, run_cli):
    _, out, _ = run_cli("check", shared / "videos" / "odd", "--json")
    variable = {row["video"]: row["variable_rate"] for row in map(json.loads, out.splitlines())}
    assert variable["forensics_VID_20191220_170832"] is True and variable["torchcodec_nasa_13013"] is False


def test_status_tells_the_story(archive, extract, run_cli, tmp_path):
    extract()
    extract()
    code, out, _ = run_cli("status", tmp_path / "S")
    assert code == 0 and "2 runs" in out and "0 ok, 5 cached, 2 failed" in out and "2 videos fail" in out
    assert "[zero_bytes]" in out and "copy it again" in out and "1 zero_bytes" in out
    code, out, _ = run_cli("status", tmp_path / "S", "--runs")
    assert "5 ok, 0 cached, 2 failed" in out and re.search(r"\d frames/s", out) and "decode" in out and "encode" in out
    story = json.loads(run_cli("status", tmp_path / "S", "--json")[1])
    assert [run["counts"] for run in story["runs"]] == [{"ok": 5, "failed": 2}, {"cached": 5, "failed": 2}]
    assert story["runs"][0]["n_frames"] == 5 * 40 and {line["video"] for line in story["failing"]} == {"empty", "text"}
    with next((tmp_path / "S" / "outcomes").glob("*.jsonl")).open("a") as file:
        file.write('{"path": "cut off\n[1]\nnull\n{"path": 1, "status": "ok", "code": null, "time": "x", "host": ""}\n')
    assert run_cli("status", tmp_path / "S")[0] == 0
    code, _, err = run_cli("status", tmp_path)
    assert code == 2 and "no outcomes" in err


def test_parts_cover_an_archive_once(extract, tmp_path):
    n_ok = 0
    for part in range(1, 9):  # some of them empty
        code, out, _ = extract("--match", "cam/*", "--part", f"{part}/8")
        assert code == 0
        n_ok += int(re.search(r"(\d+) ok, 0 cached, 0 failed", out)[1])
    assert n_ok == N_GOOD and held(tmp_path) == [f"cam/v{index}" for index in range(N_GOOD)]
    for wrong in ("0/3", "4/3", "x", "1/0", "1"):
        code, _, err = extract("--part", wrong)
        assert code == 2 and "--part" in err


def test_files_that_still_grow_are_left_for_later(extract, tmp_path, make_video):
    raw = tmp_path / "raw"
    for name in ("old", "new", "ahead"):
        make_video(raw / f"{name}.mp4", n_frames=20, seed=len(name))
    now = time.time()
    os.utime(raw / "old.mp4", (now - 500, now - 500))
    os.utime(raw / "ahead.mp4", (now + 500, now + 500))  # a camera's clock
    code, out, err = extract("--settle", "60", src=raw)
    assert code == 0 and "1 file changed in the last 60 s" in err and held(tmp_path) == ["ahead", "old"]
    code, out, err = extract("--settle", "1e6", src=raw)
    assert code == 0 and "3 files changed" in err
    assert extract("--settle", "-1", src=raw)[0] == 2


@pytest.mark.parametrize(
    ("limit", "code"),
    [("0", 1), ("1", 1), ("2", 0), ("28%", 1), ("29%", 0), ("x", 2), ("-1", 2), ("101%", 2), ("nan", 2)],
)
def test_how_many_may_fail(extract, limit, code):
    assert extract("--max-failed", limit)[0] == code


def test_a_limit_is_a_number_or_a_share():
    assert FailureLimit.parse("2.5%").exceeded(3, 100) and not FailureLimit.parse("2.5%").exceeded(2, 100)
    with pytest.raises(ConfigError, match="--max-failed"):
        FailureLimit.parse("%")


def test_metrics_are_prometheus_text(extract, tmp_path):
    extract("--metrics", tmp_path / "vad.prom")
    lines = (tmp_path / "vad.prom").read_text().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert values['vad_pipeline_videos_total{command="extract",status="ok"}'] == "5"
    assert values['vad_pipeline_failures_total{command="extract",code="zero_bytes"}'] == "1"
    assert values['vad_pipeline_frames_total{command="extract"}'] == "200"
    assert float(values['vad_pipeline_stage_seconds_total{command="extract",stage="decode"}']) > 0
    assert values["vad_pipeline_running"] == "0"
    names = {re.match(r"[a-z_]+", line)[0] for line in lines if not line.startswith("#")}
    assert names == {line.split()[2] for line in lines if line.startswith("# TYPE")}
    code, _, err = extract("--metrics", "/proc/x/vad.prom")
    assert code == 2 and "--metrics" in err


def test_rm(extract, run_cli, tmp_path):
    extract()
    store = ("--store", tmp_path / "S")
    code, _, err = run_cli("store", "rm", *store)
    assert code == 2 and "--all" in err and len(held(tmp_path)) == N_GOOD
    code, out, _ = run_cli("store", "rm", *store, "--match", "*v1", "--dry-run")
    assert code == 0 and "cam/v1" in out and "1 video would be removed" in out and len(held(tmp_path)) == N_GOOD
    code, out, _ = run_cli("store", "rm", *store, "--match", "*v1")
    assert code == 0 and held(tmp_path) == ["cam/v0", "cam/v2", "cam/v3", "cam/v4"]
    (tmp_path / "S" / "catalogue.sqlite").unlink()
    assert len(held(tmp_path)) == N_GOOD - 1 and run_cli("store", "verify", *store)[0] == 0
    with merging(tmp_path / "S" / "shards"):
        code, _, err = run_cli("store", "rm", *store, "--all")
        assert code == 3 and "another run" in err
        assert run_cli("store", "verify", "--repair", *store)[0] == 3
        assert run_cli("store", "compact", *store)[0] == 3
    code, out, _ = run_cli("store", "rm", *store, "--all")
    assert code == 0 and held(tmp_path) == []
    assert "1 ok" in extract("--match", "*v1")[1]


def test_upkeep_says_how_far_it_is(extract, run_cli, tmp_path, monkeypatch):
    from vad_pipeline.pipeline import progress

    monkeypatch.setattr(progress, "PLAIN_EVERY_SECONDS", 0)
    extract()
    store = ("--store", tmp_path / "S")
    assert "verify: 1 of 1 shard" in run_cli("store", "verify", *store)[2]
    extract("--force", "--match", "*v1")
    assert "compact: " in run_cli("store", "compact", *store)[2]
    for command in ("verify", "compact"):
        assert run_cli("store", command, *store, "--quiet") == (0, "", "")


def test_ls_of_the_first_few(extract, run_cli, tmp_path):
    extract()
    code, out, _ = run_cli("store", "ls", "--store", tmp_path / "S", "--limit", "2")
    assert code == 0 and [line.split("\t")[0] for line in out.splitlines()] == ["cam/v0", "cam/v1"]


def test_old_failures_are_no_news(tmp_path, make_video, extract, run_cli):
    raw = tmp_path / "raw"
    make_video(raw / "good.mp4")
    (raw / "cam").mkdir()
    (raw / "cam" / "old.mp4").write_text("no video")
    assert extract(src=raw)[0] == 1
    code, out, err = extract("--quiet", src=raw)
    assert code == 0 and "failed" not in out + err
    (raw / "new.mp4").touch()
    code, out, err = extract("--quiet", src=raw)
    assert code == 1 and "new.mp4" in err and "old.mp4" not in err
    assert extract("--fail-fast", src=raw)[0] == 0
    listed = run_cli("status", tmp_path / "S", "--failed")[1]
    assert "cam/old.mp4" in listed and "new.mp4" in listed
    code, out, err = run_cli("store", "forget", "old", "nowhere", "--store", tmp_path / "S")
    assert code == 1 and "1 failure forgotten" in out and "missing: nowhere: no such video fails" in err
    listed = run_cli("status", tmp_path / "S", "--failed")[1]
    assert "old.mp4" not in listed and "new.mp4" in listed and "1 video fails" in listed
    code, out, _ = extract(src=raw)
    assert code == 1 and "2 failed (1 before)" in out  # tried again, it fails anew
    assert run_cli("store", "forget", raw / "cam" / "old.mp4", "--store", tmp_path / "S")[0] == 0
