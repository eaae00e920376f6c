"""`detect --on-event`: a command once for each new event, over kills, failures and other thresholds."""

from __future__ import annotations

import json
import multiprocessing
import shlex
import signal
from pathlib import Path

import click
import pytest

from vad_pipeline.pipeline.news import on_event
from vad_pipeline.pipeline.news.on_event import Telling, begin_telling, tell_new
from vad_pipeline.pipeline.option_values import CommandWords
from vad_pipeline.pipeline.results.curve_group import CurveOrigin, write_curve
from vad_pipeline.pipeline.results.event_rows import write_events
from vad_pipeline.pipeline.results.event_rule import Chosen
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.verdict_log import import_verdicts
from vad_pipeline.pipeline.results.verdicts import Verdict

pytestmark = pytest.mark.usefixtures("shards_read_here")

THREE = ((0, 8), (16, 24, 0.7), (32, 40, 0.8))
IDS = ["cam/a@0-8", "cam/a@16-24", "cam/a@32-40"]


class Hook:
    """A command that keeps what it gets."""

    def __init__(self, folder: Path, then: str = "true"):
        self.path = folder / "told.jsonl"
        self.command = ("sh", "-c", f"cat >> {shlex.quote(str(self.path))}; echo said; {then}")

    @property
    def got(self) -> list[dict]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    @property
    def ids(self) -> list[str]:
        return [event["event_id"] for event in self.got]


@pytest.fixture
def hook(tmp_path) -> Hook:
    return Hook(tmp_path)


@pytest.fixture
def new_results(draw_results, draw_curve):
    """new_results(ranges): a folder whose run with --on-event began before it had any events."""

    def make(*ranges, source="/gone/a.mp4") -> Results:
        results = draw_results()
        begin_telling(results, Chosen())
        return add(results, draw_curve("cam/a", ranges, source=source, fps=25))

    return make


def add(results: Path, curve, **chosen) -> Results:
    opened = Results(results)
    write_curve(opened.curves, curve, CurveOrigin(recipe_id="recipe", made_from="a", threshold=0.5))
    write_events(opened, Chosen(merge_gap_seconds=0.0, **chosen))
    return opened


def test_each_new_event_once_with_its_picture_and_clip(new_results, hook, make_numbered, tmp_path):
    results = new_results(*THREE, source=make_numbered(tmp_path / "a.mp4", 48))
    assert str(tell_new(results, hook.command)).startswith("3 new events told to sh -c ")
    assert str(tell_new(results, hook.command)).startswith("0 new events")
    assert hook.ids == IDS
    first = hook.got[0]
    assert (first["camera"], first["category"], first["start_frame"], first["mark"]) == ("cam", "Fighting", 0, None)
    assert Path(first["clip"]).read_bytes()[4:8] == b"ftyp" and Path(first["snapshot"]).read_bytes()[:2] == b"\xff\xd8"
    assert first["results"] == str(results.path) and "problem" not in first
    log = (results.path / "on_event.log").read_text()
    assert log.count("\nsaid\n-- ended well\n") == 3 and "cam/a@16-24" in log


def test_footage_that_is_gone_is_told_all_the_same(new_results, hook):
    tell_new(new_results((0, 8)), hook.command)
    (event,) = hook.got
    assert event["clip"] is event["snapshot"] is None and "/gone/a.mp4: is not there" in event["problem"]


def test_what_failed_is_tried_again_by_the_next_run(new_results, tmp_path):
    results = new_results(*THREE)
    failing = Hook(tmp_path, then=f"[ $(wc -l < {tmp_path}/told.jsonl) != 2 ]")  # for the second alone
    telling = tell_new(results, failing.command)
    assert telling.failures == ["cam/a@16-24: exit code 1"] and (telling.n_told, telling.n_left) == (2, 0)
    assert tell_new(results, failing.command).n_told == 1 and failing.ids == [*IDS, IDS[1]]


def test_a_command_that_fails_for_all_is_not_run_for_all(new_results, tmp_path):
    results = new_results(*((16 * n, 16 * n + 1) for n in range(3)), (40, 41), (44, 45))
    telling = tell_new(results, Hook(tmp_path, then="exit 3").command)
    assert len(telling.failures) == 3 and telling.n_left == 2 and "3 failed, 2 left for the next run" in str(telling)


def test_a_command_that_hangs_is_ended_with_all_that_it_started(new_results, tmp_path, monkeypatch):
    monkeypatch.setattr(on_event, "LIMIT_SECONDS", 0.3)
    telling = tell_new(new_results((0, 8)), Hook(tmp_path, then="sleep 60 & sleep 60").command)
    assert telling.failures == ["cam/a@0-8: ended after 0.3 s, which is the limit"]


def test_never_for_events_marked_false(new_results, hook):
    results = new_results(*THREE)
    import_verdicts(results, [Verdict("cam/a", 16, 24, IDS[1], "false_alarm", time="2026-01-01")])
    write_events(results)
    tell_new(results, hook.command)
    assert hook.ids == [IDS[0], IDS[2]]


def run_that_is_killed(results: Path, command: tuple[str, ...]) -> None:
    begin_telling(results, Chosen())
    tell_new(Results.open(results), command)


def test_killed_runs_tell_every_event_and_repeat_only_the_one_at_hand(new_results, hook, tmp_path):
    results = new_results(*THREE)
    deadly = Hook(tmp_path, then=f"[ $(wc -l < {tmp_path}/told.jsonl) != 2 ] || kill -9 $PPID")
    codes = []
    for _ in range(2):
        child = multiprocessing.get_context("fork").Process(
            target=run_that_is_killed, args=(results.path, deadly.command)
        )
        child.start()
        child.join(60)
        codes.append(child.exitcode)
    assert codes == [-signal.SIGKILL, 0] and hook.ids == [IDS[0], IDS[1], IDS[1], IDS[2]]
    assert tell_new(results, hook.command).n_told == 0


def test_half_a_line_of_a_killed_run_costs_one_repetition(new_results, hook):
    results = new_results(*THREE)
    tell_new(results, hook.command)
    path = results.path / "on_event.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    assert tell_new(results, hook.command).n_told == 1 and hook.ids == [*IDS, IDS[2]]
    assert tell_new(results, hook.command).n_told == 0


def test_what_was_there_before_is_no_news(draw_results, draw_curve, hook):
    results = draw_results(draw_curve("cam/a", THREE))
    begin_telling(results, Chosen())
    tell_new(add(results, draw_curve("cam/b", [(0, 8)])), hook.command)
    assert hook.ids == ["cam/b@0-8"]


def test_an_event_with_other_ends_is_the_same_event(new_results, draw_curve, hook, run_cli):
    results = new_results((0, 8), (16, 24, 0.7))
    tell_new(results, hook.command)
    add(results.path, draw_curve("cam/a", [(0, 12), (20, 30)]))  # the video has grown
    assert tell_new(Results.open(results.path), hook.command).n_told == 0


def test_another_threshold_is_no_news_but_what_was_not_told_stays_so(new_results, draw_curve, hook, run_cli):
    results = new_results((0, 8), (16, 24, 0.4))
    code, _, _ = run_cli("events", results.path, "--threshold", "0.3")  # before the first was told
    assert code == 0 and tell_new(results, hook.command).n_told == 1 and hook.ids == ["cam/a@0-8"]
    add(results.path, draw_curve("cam/b", [(0, 8, 0.25)]))
    begin_telling(results.path, Chosen({None: 0.2}))  # as `detect --threshold 0.2` begins
    write_events(results)
    assert tell_new(results, hook.command).n_told == 0


def test_two_runs_at_once_tell_once(new_results, hook):
    results = new_results((0, 8))
    with on_event.only_process(results.path / on_event.LOCK_NAME):
        telling = tell_new(results, hook.command)
    assert telling.is_at_work_elsewhere and "another run" in str(telling) and hook.ids == []


def test_a_command_is_split_as_a_shell_would(tmp_path):
    kind = CommandWords()
    assert kind.convert("sh -c 'a | b' \"two words\"", None, None) == ("sh", "-c", "a | b", "two words")
    for wrong, words in (("", "is empty"), ("'", "No closing quotation"), ("no-such-program x", "is no program here")):
        with pytest.raises(click.BadParameter, match=words):
            kind.convert(wrong, None, None)
    assert str(Telling(("a b",), n_told=1)) == "1 new event told to 'a b'"
