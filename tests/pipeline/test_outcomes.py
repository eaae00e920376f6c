"""Outcome files: a damaged line costs that line, what was there already is counted, old files are folded into one."""

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.pipeline.outcomes import outcome_files
from vad_pipeline.pipeline.outcomes.history import Story, read_story
from vad_pipeline.pipeline.outcomes.outcome_files import fold, read_failures
from vad_pipeline.pipeline.outcomes.outcome_log import OutcomeLog
from vad_pipeline.pipeline.outcomes.video_outcome import VideoOutcome
from vad_pipeline.pipeline.review.summary import failures as rows_of_failures

N_FLIPS = 300
DAY = 24 * 3600


def failed(number: int, **more) -> VideoOutcome:
    return VideoOutcome(
        f"v{number}",
        f"/raw/v{number}.mp4",
        "failed",
        "no_frames",
        "has none",
        recipe_id="r",
        size=9,
        mtime_ns=7,
        **more,
    )


def done(number: int, status: str = "ok") -> VideoOutcome:
    return VideoOutcome(
        f"v{number}",
        f"/raw/v{number}.mp4",
        status,
        n_frames=10,
        recipe_id="r",
        seconds={"decode": 0.5},
        still_share=0.5,
    )


def written(folder: Path, *outcomes: VideoOutcome) -> Path:
    """The file of a run with these outcomes."""
    with OutcomeLog(folder / "outcomes") as log:
        for outcome in outcomes:
            log.append(outcome)
    return folder / "outcomes" / f"{log.run_id}.jsonl"


def figures(story: Story) -> list:
    return [(run.run_id, run.counts, run.codes, run.n_frames, run.stage_seconds, run.hosts) for run in story.runs]


def of_yesterday(folder: Path) -> None:
    for path in folder.glob("outcomes/*.jsonl"):
        os.utime(path, (time.time() - 2 * DAY,) * 2)


def test_no_flipped_bit_ends_anything(tmp_path):
    path = written(tmp_path, done(0), failed(1), failed(2), done(3))
    written(tmp_path, *(done(number, "cached") for number in range(4)))
    data, rng, n_damaged = path.read_bytes(), random.Random(0), 0
    for _ in range(N_FLIPS):
        harmed = bytearray(data)
        harmed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(harmed)
        remembered = read_failures(tmp_path / "outcomes").remembered("r")
        assert all(isinstance(failure.reason, str) for failure in remembered.values())
        assert json.dumps(rows_of_failures(tmp_path, None, ())).encode()
        story = read_story(tmp_path)
        assert [run.wall_seconds for run in story.runs if run.started] and len(story.failing) <= 3
        n_damaged += story.n_damaged
    assert N_FLIPS / 4 < n_damaged < 2 * N_FLIPS


def test_damage_is_told_and_costs_one_line(tmp_path, run_cli):
    path = written(tmp_path, failed(1), failed(2), failed(3))
    lines = path.read_text().splitlines(keepends=True)
    lines[1] = lines[1].replace('"no_frames"', '["no_frames"]')
    path.write_text("".join(lines))
    code, out, err = run_cli("status", tmp_path)
    assert code == 0 and "1 damaged line of outcomes passed over" in out and "2 videos fail" in out, err
    assert json.loads(run_cli("status", tmp_path, "--json")[1])["damaged_lines"] == 1
    path.write_text("".join(lines)[:-30])  # a kill cut it off: no damage
    assert read_story(tmp_path).n_damaged == 1


def test_what_is_later_overrules_though_the_clock_was_set_back(tmp_path):
    ahead = written(tmp_path, failed(1), failed(2))
    ahead.rename(ahead.with_name("20991231T235959.999999Z-abcdef.jsonl"))
    written(tmp_path, done(1))
    written(tmp_path, failed(1)), written(tmp_path, done(1))
    story = read_story(tmp_path)
    assert [outcome.video for outcome in story.failing] == ["v2"]
    assert all(0 <= run.wall_seconds < DAY for run in story.runs) and len(story.runs) == 4
    (tmp_path / "outcomes" / "99991231T235959.999999Z-abcdef.jsonl").touch()
    assert written(tmp_path, done(2)).exists()  # nothing is later than that


@pytest.mark.parametrize(
    "values",
    [
        {"video": "\ud800"}, {"path": "\ud800"}, {"path": 1}, {"code": None}, {"code": ["a"]}, {"error": 5},
        {"time": "yesterday"}, {"time": "2026-11-02T10:00:00"}, {"time": None}, {"host": {}}, {"status": "fine"},
        {"n_frames": "10"}, {"n_frames": True}, {"seconds": [1]}, {"seconds": {"decode": "x"}}, {"still_share": 2},
        {"seconds": {"decode": float("nan")}}, {"size": 10**4000}, {"mtime_ns": 1.5}, {"recipe_id": 7},
        {"stream": 0}, {"stream": "2"},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_what_no_run_writes_is_passed_over(tmp_path, run_cli, values):
    record = json.loads(failed(1, run_id="x", time="2026-11-02T10:00:00+00:00", host="h").as_line())
    (tmp_path / "outcomes").mkdir()
    lines = [json.dumps(record), json.dumps(record | {"path": "/raw/other.mp4"} | values)]
    (tmp_path / "outcomes" / "run.jsonl").write_text("\n".join([*lines, "[" * 100_000, "1" * 5000, ""]))
    code, out, err = run_cli("status", tmp_path, "--runs")
    assert (
        code == 0 and "3 damaged lines" in out and "1 video fails as of its last run" in out and "Traceback" not in err
    )
    assert list(read_failures(tmp_path / "outcomes").remembered("r")) == [("/raw/v1.mp4", 1)]


def test_names_that_are_no_utf8_are_remembered(tmp_path, run_cli):
    path = "/raw/caf\udce9.mp4"
    written(tmp_path, VideoOutcome("caf", path, "failed", "no_frames", "has none", recipe_id="r", size=9, mtime_ns=7))
    assert list(read_failures(tmp_path / "outcomes").remembered("r")) == [(path, 1)]
    assert r"/raw/caf\xe9.mp4: has none" in run_cli("status", tmp_path)[1]


def test_what_was_there_is_counted_in_one_line_a_run(tmp_path, run_cli):
    many = [done(number, "cached") for number in range(1000)]
    path = written(tmp_path, *many)
    assert path.read_text().count("\n") == 1
    assert "0 ok, 1000 cached, 0 failed" in run_cli("status", tmp_path)[1]
    written(tmp_path, failed(3))
    path = written(tmp_path, *many)
    assert path.read_text().count("\n") == 2  # v3 fails no more
    assert "0 ok, 1000 cached" in run_cli("status", tmp_path)[1] and read_story(tmp_path).failing == []
    assert read_failures(tmp_path / "outcomes").remembered("r") == {}


@pytest.fixture(autouse=True)
def _fold_early(monkeypatch):
    monkeypatch.setattr(outcome_files, "FOLD_FILES", 10)


def archive_of_runs(folder: Path, n_runs: int = 12) -> None:
    """Runs of days ago, some as older versions wrote them: a line for every video that was there already."""
    for number in range(n_runs):
        path = written(folder, done(number), failed(1000 + number % 7), done(0, "cached"))
        if number % 3 == 0:
            record = json.loads(path.read_text().splitlines()[0])
            with path.open("a") as file:
                file.writelines(json.dumps(record | {"status": "cached", "video": f"w{i}"}) + "\n" for i in range(20))
                file.write("damaged\n")
    written(folder, done(1000))
    of_yesterday(folder)


def test_old_files_are_folded_into_one(tmp_path, run_cli):
    archive_of_runs(tmp_path)
    before, size = read_story(tmp_path), sum(path.stat().st_size for path in tmp_path.glob("outcomes/*"))
    assert before.n_damaged == 4 and len(before.failing) == 6
    for more in range(2):
        newest = written(tmp_path, done(2000, "cached"))
        names = sorted(path.name for path in tmp_path.glob("outcomes/*"))
        assert len(names) == 2 + more and names[-1].startswith("folded-") and newest.name in names
        after = read_story(tmp_path)
        assert figures(after)[:-1][: len(before.runs)] == figures(before) and after.failing == before.failing
        assert after.n_damaged == 4
    assert sum(path.stat().st_size for path in tmp_path.glob("outcomes/*")) < size / 2
    assert read_failures(tmp_path / "outcomes").remembered("r").keys() == {
        (f"/raw/v{1000 + i}.mp4", 1) for i in range(1, 7)
    }
    code, out, _ = run_cli("status", tmp_path)
    assert code == 0 and "15 runs, of 13 of them, long past, only figures and failures are kept" in out
    for path in tmp_path.glob("outcomes/2*"):  # what is folded is folded again with what has become old
        path.write_text(path.read_text() * 8000)
    of_yesterday(tmp_path)
    fold(tmp_path / "outcomes")
    assert len(list(tmp_path.glob("outcomes/*"))) == 1
    assert figures(read_story(tmp_path))[:13] == figures(before)


def test_files_in_use_are_not_folded(tmp_path):
    archive_of_runs(tmp_path)
    third = sorted(tmp_path.glob("outcomes/*"))[2]
    os.utime(third)  # its run is still at work
    fold(tmp_path / "outcomes")
    assert len(list(tmp_path.glob("outcomes/*"))) == 13


def killed_while_folding(folder: Path, after: int) -> None:
    unlink, removed = Path.unlink, []

    def die_at_last(path, missing_ok=False):
        if path.suffix == ".jsonl":
            removed.append(path)
        if len(removed) > after:
            os.kill(os.getpid(), signal.SIGKILL)
        unlink(path, missing_ok)

    Path.unlink = die_at_last
    fold(folder)


@pytest.mark.parametrize("after", [0, 1, 9])
def test_a_kill_while_files_are_folded_counts_nothing_twice(tmp_path, after):
    archive_of_runs(tmp_path)
    before = read_story(tmp_path)
    child = multiprocessing.get_context("fork").Process(
        target=killed_while_folding, args=(tmp_path / "outcomes", after)
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    for _ in range(2):
        after_it = read_story(tmp_path)
        assert figures(after_it) == figures(before) and after_it.failing == before.failing
        fold(tmp_path / "outcomes")  # the next run


def test_files_folded_while_they_are_read_are_read_where_they_went(tmp_path, monkeypatch):
    archive_of_runs(tmp_path)
    before, lines_of = read_story(tmp_path), outcome_files._lines_of

    def meanwhile(path, **options):
        monkeypatch.setattr(outcome_files, "_lines_of", lines_of)
        yield from lines_of(path, **options)
        fold(tmp_path / "outcomes")

    monkeypatch.setattr(outcome_files, "_lines_of", meanwhile)
    assert figures(read_story(tmp_path)) == figures(before)


@pytest.mark.parametrize("head", ['{"schema": 1, "uuid": "\\ud800"}', '{"schema": 1, "uuid": [1]}'])
def test_a_damaged_id_of_a_store_is_told(tmp_path, run_cli, head):
    EmbeddingStore(tmp_path / "S", create=True).close()
    (tmp_path / "S" / "store.json").write_text(head)
    code, _, err = run_cli("store", "ls", "--store", tmp_path / "S")
    assert code == 3 and "store.json: is damaged" in err and "restore or delete it" in err
    (tmp_path / "S" / "store.json").unlink()
    EmbeddingStore(tmp_path / "S", create=True).close()
