"""Small inputs and small troubles that end in a sentence and a documented exit code: never as a bug, never in full."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from vad_pipeline.eval.annotations import read_annotations
from vad_pipeline.extract.errors import (
    MESSAGE_WIDTH,
    ConfigError,
    RunStopped,
    StoreError,
    VadError,
    VideoError,
    readable,
)
from vad_pipeline.extract.lists import read_named, read_rows
from vad_pipeline.model.category_file import read_categories
from vad_pipeline.pipeline.clips.manifest import COLUMNS, MANIFEST_NAME, Manifest
from vad_pipeline.pipeline.results.event_rows import EVENTS_NAME, read_events
from vad_pipeline.pipeline.results.verdicts import COLUMNS as VERDICT_COLUMNS
from vad_pipeline.pipeline.results.verdicts import read_verdicts
from vad_pipeline.pipeline.train.run_folder import TrainRun
from vad_pipeline.pipeline.workers import local
from vad_pipeline.pipeline.workers.base import ExecutorConfig, Work

DIGITS = "9" * 5000
SECONDS = 5
MAIN = [sys.executable, "-c", "from vad_pipeline.pipeline.cli import main; main()"]


def sentence_of(read, *given, error=ConfigError, **more) -> str:
    started = time.monotonic()
    with pytest.raises(error) as caught:
        read(*given, **more)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 1000 and time.monotonic() - started < SECONDS
    return message


@pytest.mark.parametrize(
    ("form", "text", "words"),
    [
        ("xd-violence", "v_label_--0.mp4 1 5", "label_CODES"),
        ("xd-violence", f"v_label_B1-0-0 {DIGITS} {DIGITS}", "no frame numbers"),
        ("xd-violence", "v_label_" + "A" * 60_000 + " 1 5", "no XD-Violence code"),
        ("xd-violence", "label_A" * 9000 + "!", "label_CODES"),
        ("ucf-crime", f"v.mp4  {DIGITS}  Abuse  1  5  -1  -1", "got 'v.mp4"),
        ("ucf-crime", f"v.mp4 Abuse {DIGITS} {DIGITS} -1 -1", "no frame numbers"),
        ("ucf-crime", "v.mp4  Abuse" + " 1 5" * 15_000 + " x", "expected `NAME"),
        ("ucf-crime", "a" + " 1" * 30_000 + " b", "expected `NAME"),
        ("ucf-crime", "a b " * 16_000, "expected `NAME"),
        ("ucf-crime", "x" * 100_000, "no line of a list has over"),
        ("csv", f"video,start_seconds,end_seconds,category\nv,{DIGITS[:90]}:10:10,2,Abuse\n", "is no time"),
        ("csv", f"video,start_seconds,end_seconds,category\nv,{DIGITS},2,Abuse\n", "a cell of 5000 characters"),
        ("csv", "video,start_frame,end_frame,category\n" + "x" * 140_000 + ",1,5,Abuse\n", "no line of a list"),
        ("csv", ",".join(f"c{i}" for i in range(9000)), "expected the header"),
    ],
)
def test_annotations(tmp_path, form, text, words):
    (tmp_path / "a.txt").write_text(text)
    assert words in sentence_of(read_annotations, tmp_path / "a.txt", format=form)


def test_a_label_keeps_its_codes_before_any_suffix(tmp_path):
    (tmp_path / "a.txt").write_text("v__#00_label_B4-0-0.flac 1 5\nw_label_B1-0-0 1 5\n")
    first, second = read_annotations(tmp_path / "a.txt", format="xd-violence")
    assert (first.categories, second.categories) == (("Riot",), ("Fighting",))


def test_a_line_of_many_ranges_is_read(tmp_path):
    (tmp_path / "a.txt").write_text("v.mp4  Abuse" + "".join(f"  {10 * i + 1}  {10 * i + 5}" for i in range(2000)))
    (annotation,) = read_annotations(tmp_path / "a.txt", format="ucf-crime")
    assert len(annotation.ranges) == 2000 and annotation.name == "v.mp4"


ALIASES = "".join(f"- &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- &a [x,x,x,x,x,x,x,x,x]\n" + ALIASES, "more than 20000 names"),
        ("a: &a {name: a, descriptions: [x]}\n" + "b: [" * 3000, "cannot be read"),
        ("- &a [*a]\n- b\n", "nested deeper"),
        ("- a\n" * 70_000, "characters"),
        ("2026-02-30", "holds no categories"),
        ("!!timestamp x", "holds no categories"),
        ("- 2026-02-30\n- b\n", "put it in quotes"),
        (f"- {DIGITS}\n- b\n", "put it in quotes"),
        ('- "\\ud800"\n- b\n', "no text"),
        ("- a\n- b: " + "word " * 1000, "over 4096 characters"),
    ],
)
def test_categories(tmp_path, text, words):
    (tmp_path / "c.yaml").write_text(text)
    assert words in sentence_of(read_categories, tmp_path / "c.yaml")


def test_lists_and_verdicts(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a," + "x" * 140_000)
    sentence_of(read_rows, path), sentence_of(read_named, path)
    path.write_text(",".join(["x" * 140_000, *VERDICT_COLUMNS]))
    assert "field larger" in sentence_of(read_verdicts, path)
    path.write_text(",".join(VERDICT_COLUMNS) + f"\nv,{DIGITS},5,v@1-5,real\n")
    assert "no numbers" in sentence_of(read_verdicts, path)
    path.write_text('{"verdicts": ' + "[" * 100_000)
    sentence_of(read_verdicts, path)


WRONG = ("x", None, [1], {"a": 1}, True, float("nan"), float("inf"), 10**400)
EVENT = {
    "event_id": "v@1-5", "video": "v", "start_frame": 1, "end_frame": 5, "start_seconds": 0.1, "end_seconds": 0.5,
    "start_time": None, "end_time": None, "category": "Abuse", "category_probability": 0.5, "peak_score": 0.9,
    "peak_frame": 2,
}  # fmt: skip


@pytest.mark.parametrize("name", EVENT)
def test_events_of_other_types(tmp_path, name):
    for value in WRONG:
        fits = value == "x" and name in ("event_id", "video", "category") or value is None and name.endswith("_time")
        (tmp_path / EVENTS_NAME).write_text(json.dumps({**EVENT, name: value}) + "\n")
        if fits:
            assert len(list(read_events(tmp_path))) == 1
        else:
            assert "line 1 cannot be read" in sentence_of(lambda: list(read_events(tmp_path)), error=StoreError)


@pytest.mark.parametrize(("column", "value"), [("clip", "x" * 300), ("clip", "../a.mp4"), ("start_frame", DIGITS)])
def test_a_manifest_of_names_that_cannot_be(tmp_path, column, value):
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a.mp4", "../a.mp4"):
        (folder / name).write_bytes(b"")
    row = dict.fromkeys(COLUMNS, "1") | {"clip": "a.mp4"}
    for values, n_rows in ((row, 1), (row | {column: value}, 0)):
        (folder / MANIFEST_NAME).write_text(f"{','.join(COLUMNS)}\n{','.join(values.values())}\n")
        manifest = Manifest(folder)
        assert len(manifest.rows) == n_rows
        manifest.write()


def asks_for_much(path: Path, kind: str) -> None:
    content = {"rows": [], "step": 0, "network": {"a": torch.zeros(1 << 24 if kind == "packed" else 1)}}
    if kind == "stretched":
        content["network"]["a"] = content["network"]["a"].expand(1 << 20, 40_000)
    torch.save(content, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if kind == "packed" else zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            long = kind == "long" and name.endswith("/data.pkl")
            archive.writestr(name, b"\x80\x02" + b"]" * (5 << 20) + b"." if long else data)


@pytest.mark.parametrize(
    ("kind", "words"), [("packed", "is packed"), ("stretched", "more than is stored"), ("long", "more of its content")]
)
def test_a_run_of_strangers_asks_for_no_more_than_it_holds(tmp_path, kind, words):
    asks_for_much(tmp_path / "last.ckpt", kind)
    training = SimpleNamespace(schedule=SimpleNamespace(n_steps=6))
    assert words in sentence_of(TrainRun(tmp_path).load, training, error=StoreError)


def test_no_message_is_longer_than_a_person_reads():
    for error in (VadError("x" * 10**6 + " do this"), VideoError("a", "code", "x" * 10**6 + " do this")):
        assert len(str(error)) < MESSAGE_WIDTH + 10 and str(error).endswith(" do this")
    assert readable("a\ud800\udce9") == "a\\xed\\xa0\\x80\\xed\\xb3\\xa9"


def test_shared_memory_that_is_full(monkeypatch):
    def full(*given, **more):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(local, "ProcessPoolExecutor", full)
    done = local.run_in_processes(ExecutorConfig(workers=2), Work(print, print), ["a"])
    assert "room in /dev/shm" in sentence_of(lambda: list(done), error=RunStopped)


def ended(script: str, cwd: Path) -> subprocess.CompletedProcess:
    command = " ".join(f"'{part}'" for part in MAIN)
    given = ["bash", "-c", script.replace("MAIN", command)]
    return subprocess.run(given, capture_output=True, text=True, cwd=cwd, timeout=60)


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ("MAIN --help | true; exit ${PIPESTATUS[0]}", 0, ""),
        ("MAIN --help >/dev/full", 3, "No space left"),
        ("MAIN --help >/dev/full 2>/dev/full", 3, ""),
        ("MAIN --help >&-", 0, ""),
        ("mkdir gone; cd gone; rmdir ../gone; MAIN status S", 2, "is gone; change into"),
        (f"MAIN status {'x' * 300}", 3, "name too long"),
    ],
)
def test_what_is_printed_and_where_from(tmp_path, script, code, words):
    done = ended(script, tmp_path)
    assert done.returncode == code and words in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and "a bug" not in done.stderr and "Exception ignored" not in done.stderr
    shutil.rmtree(tmp_path)
