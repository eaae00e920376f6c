"""Mutated text files through every reader of text: each ends in a sentence or is understood, within seconds."""

from __future__ import annotations

import contextlib
import json
import logging
import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from attack_processes import forked
from attack_scene import Scene

from vad_pipeline.eval.annotations import read_annotations
from vad_pipeline.extract.errors import MESSAGE_WIDTH, VadError
from vad_pipeline.extract.names import NameIndex
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.exchange import read_list
from vad_pipeline.model.categories import UCF_CRIME
from vad_pipeline.model.category_file import read_categories
from vad_pipeline.pipeline.archive.labels import columns_of, read_label_rows
from vad_pipeline.pipeline.archive.selection import read_lines
from vad_pipeline.pipeline.clips.manifest import MANIFEST_NAME, Manifest
from vad_pipeline.pipeline.outcomes.history import read_story
from vad_pipeline.pipeline.results.event_rows import EVENTS_NAME, read_events
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.run_record import RECORD_NAME
from vad_pipeline.pipeline.results.run_settings import settings_of
from vad_pipeline.pipeline.results.verdicts import brought_together, disagreements, labels_of, read_verdicts
from vad_pipeline.pipeline.train.run_folder import CONFIG_NAME, TrainRun

BATCH = 250  # texts a child
SECONDS, MORE_MB = 10, 300
ODD = [
    "9" * 5000, "x" * 140_000, "[" * 3000, "\0", "\ud800", "\udce9", "\x1b[31m", "\u202e", '"', "'", ",", ";",
    "\t", "\r", "\n", "|", "/",
    "\\", "..", "-1", "1e999", "NaN", "Infinity", "null", "true", "[]", "{}", "- ", ": ", "&a ", "*a ",
    "<<: ", "2026-02-30", "=1+1", "sep=;", "\ufeff", "label_", "__5.npy", ".flac", " -1 -1", "0x", "1:99:99", "٣",
    "é", " ",
]  # fmt: skip


def _verdict_texts() -> tuple[str, str]:
    rows = [
        {
            "video": f"v{i % 3}", "start_frame": i, "end_frame": i + 5, "event_id": f"v{i % 3}@{i}-{i + 5}",
            "verdict": ("real", "false_alarm", "unsure", "")[i % 4], "category": "Abuse", "reviewer": "AB", "note": "",
            "time": "2026-11-27T10:00:00Z",
        }
        for i in range(8)
    ]  # fmt: skip
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    return json.dumps({"schema": 1, "report": "x", "verdicts": rows}), "\n".join(lines)


def _verdicts(path: Path) -> None:
    verdicts = read_verdicts(path)
    list(map(str, disagreements(brought_together([verdicts])))), labels_of(verdicts)


def _labels(path: Path) -> None:
    columns_of(read_label_rows(path), UCF_CRIME, path)


def _store(path: Path) -> None:
    with EmbeddingStore(path.parent) as store:
        store.entries()


def _lines(path: Path) -> None:
    NameIndex(["a/b", "c"]).find_all(read_lines(str(path)))


def readers(scene: Scene) -> dict[str, tuple[str, str, Callable[[Path], object]]]:
    """What is read: name -> file name, a text that is right, the reader."""
    verdicts_json, verdicts_csv = _verdict_texts()
    shown = scene.path / "shown"
    outcomes = next((shown / "S" / "outcomes").glob("*.jsonl")).read_text()
    config = {"schema": 1, "options": {"threads_used": 1, "seed": 1}, "versions": {"torch": "2"}, "data": {"rows": 1}}
    ucf = "a_x264.mp4  Abuse  1  5  -1  -1\nb.mp4  Normal  -1  -1  -1  -1\nc d.mp4 70 Road Accidents 1 5 7 9\n"
    xd = "a__#00_label_B4-0-0.mp4 1 5 7 9\nb_label_A\nc_label_B1-B2-0 B1 1 5 B2 6 7\n"
    frames = "video,start_frame,end_frame,category\na,1,5,Abuse\nb,,,Normal\nc,1,9,Abuse|Fire\n"
    seconds = "path;start_seconds;end_seconds;label\na;1,5;0:01:05,5;Abuse\nb;;;Normal\n"
    yaml = "- Normal\n- {name: Fall, descriptions: [a person falling, a fall]}\n- Fire: &f a fire\n- Smoke: *f\n"
    return {
        "UCF-Crime lines": ("a.txt", ucf, lambda path: read_annotations(path, format="ucf-crime")),
        "XD-Violence lines": ("a.txt", xd, lambda path: read_annotations(path, format="xd-violence", normals=path)),
        "annotations, frames": ("a.csv", frames, lambda path: read_annotations(path, format="csv")),
        "annotations, seconds": ("a.csv", seconds, lambda path: read_annotations(path, format="csv", ends="inclusive")),
        "categories, YAML": ("a.yaml", yaml, read_categories),
        "categories, CSV": ("a.csv", "name,descriptions\nNormal,x\nFall,a fall,falling\n", read_categories),
        "labels": ("a.csv", "video,label,split\na.mp4,Abuse|Fighting,train\nb__5.npy,Normal,test\n", _labels),
        "labels by blanks": ("a.txt", "a.mp4 Abuse\nb__5.npy Normal\n", _labels),
        "published list": ("a.csv", "path,label\nx/a__0.npy,Abuse\n./=b__1.npy,Normal\n", read_list),
        "--list": ("a.txt", "a/b.mp4\nc\n\n/x/a/b\n", _lines),
        "verdicts, JSON": ("a.json", verdicts_json, _verdicts),
        "verdicts, CSV": ("a.csv", verdicts_csv, _verdicts),
        "events.jsonl": (
            EVENTS_NAME, (shown / "out" / EVENTS_NAME).read_text(), lambda path: list(read_events(path.parent))
        ),
        "run.json": (
            RECORD_NAME, (shown / "out" / RECORD_NAME).read_text(), lambda path: settings_of(Results(path.parent))
        ),
        "MANIFEST.csv": (
            MANIFEST_NAME, (shown / "out" / "clips" / MANIFEST_NAME).read_text(), lambda path: Manifest(path.parent)
        ),
        "store.json": ("store.json", (shown / "S" / "store.json").read_text(), _store),
        "config.json": (CONFIG_NAME, json.dumps(config), lambda path: TrainRun(path.parent).config()),
        "outcomes": ("outcomes/a.jsonl", outcomes, lambda path: read_story(path.parent.parent)),
    }  # fmt: skip


def mutated(text: str, rng: random.Random) -> bytes:
    """A text with a few changes: of bits, of pieces, of numbers, of JSON values, with odd things put in."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        at, end = sorted(rng.choices(range(len(text) + 1), k=2))
        kind = rng.randrange(7)
        if kind == 0:
            text = text[:at] + rng.choice(ODD) + text[at:]
        elif kind == 1:
            text = text[:at] + rng.choice(ODD) + text[end:]
        elif kind == 2:
            text = text[:at] + text[end:]
        elif kind == 3:
            text = text[:at] + text[at:end] * rng.choice((2, 3, 50)) + text[end:]
        elif kind == 4:
            text = text.replace(rng.choice(text or " "), rng.choice(ODD[3:]), rng.choice((1, -1)))
        elif kind == 5:
            with contextlib.suppress(ValueError, RecursionError):
                text = _other_value(text, rng)
    data = bytearray(text[: 1 << 21].encode(errors="surrogatepass"))
    if data and rng.random() < 0.3:
        for _ in range(rng.choice((1, 3, 30))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _other_value(text: str, rng: random.Random) -> str:
    """JSON, or a line of it, with another value in one place."""
    lines = text.splitlines()
    whole = not lines or lines[0].startswith("{") and len(lines) == 1 or lines[0] in ("{", "[")
    at = 0 if whole else rng.randrange(len(lines))
    value = json.loads(text if whole else lines[at])
    place = value
    while isinstance(place, dict | list) and place:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if not isinstance(place[key], dict | list) or rng.random() < 0.4:
            place[key] = rng.choice([None, True, -1, 1.5, 10**30, float("nan"), "x" * 300, "\ud800", [1], {"a": 1}, ""])
            break
        place = place[key]
    if whole:
        return json.dumps(value)
    return "\n".join([*lines[:at], json.dumps(value), *lines[at + 1 :]]) + "\n"


def _batch(folder: Path, read: tuple[str, str, Callable[[Path], object]], seed: str) -> list[str]:
    """What went wrong with some mutations of one text."""
    name, text, reader = read
    rng, wrong = random.Random(seed), []
    logging.disable()
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    for number in range(BATCH):
        path.write_bytes(mutated(text, rng))
        started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        problem = None
        try:
            reader(path)
        except (VadError, OSError) as error:
            if len(str(error)) > MESSAGE_WIDTH + 10 or "\n" in str(error):
                problem = f"a message of {len(str(error))} characters or several lines: {str(error)[:200]!r}"
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - started
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        if seconds > SECONDS or more > MORE_MB:
            problem = f"{seconds:.0f} s, {more:.0f} MB more"
        if problem:
            wrong.append(f"mutation {number} of seed {seed!r}: {problem[:300]}")
    return wrong


def texts(scene: Scene, rng: random.Random, until: float, tally: object) -> None:
    """Attack until the time is over."""
    every = readers(scene)
    while time.monotonic() < until:
        for name, read in every.items():
            seed = f"{name} {rng.randrange(1 << 30)}"
            with tempfile.TemporaryDirectory(dir=scene.path) as folder:
                found = forked(lambda folder=folder, read=read, seed=seed: _batch(Path(folder), read, seed))
            tally.tried[name] += BATCH
            tally.wrong += found if isinstance(found, list) else [f"{seed}: {found}"]
            if time.monotonic() > until:
                break
