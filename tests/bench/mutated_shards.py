"""Shards as a stranger, or a failing disk, may leave them: `python tests/bench/mutated_shards.py`.

Mutates shards of a small store and of a results folder, seeded: bits flipped, bytes overwritten, lengths and addresses
replaced by extreme ones, in the metadata (object and attribute headers, heaps, trees), seldom in the data. Each lies
beside a healthy shard of other videos and goes through `store ls`, `store verify`, `store verify --repair` and
`store ls` again, or through `events`. Counts exit codes, what the process that reads came to, and the largest memory;
exits 1 where a command crashed, ended with exit 70, lost a healthy video, or took 300 MB more than the others.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.extract.store import upkeep
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.exchange import ImportConfig, import_list
from vad_pipeline.model.curve import AnomalyCurve
from vad_pipeline.pipeline.cli import main as main_of_command_line
from vad_pipeline.pipeline.results.curve_group import CurveOrigin, write_curve
from vad_pipeline.pipeline.results.event_rows import write_events
from vad_pipeline.pipeline.results.event_rule import Chosen
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.run_record import RunRecord, begin_run

OF_STORE = [["store", *words.split()] for words in ("ls", "verify --quiet", "verify --repair --quiet", "ls")]
HANGS_AFTER, MORE_MB = 60.0, 300  # seconds of a machine that has other things to do, and MB
EXTREMES = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
HEADS = (b"TREE", b"HEAP", b"SNOD", b"OHDR", b"OCHK", b"GCOL", b"FRHP", b"FHDB", b"BTHD", b"BTLF")
N_VIDEOS = 3


def make_store(folder: Path, letter: str) -> Path:
    """A store of a few videos in one shard."""
    folder.mkdir()
    names = [f"{letter}{number}" for number in range(N_VIDEOS)]
    for name in names:
        np.save(folder / f"{name}.npy", np.full((9, 512), 0.5, np.float16))
    (folder / "list.csv").write_text("".join(f"{name}.npy,Abuse\n" for name in names))
    with EmbeddingStore(folder / "store", create=True) as store:
        import_list(folder / "list.csv", store, ImportConfig(recipe=Recipe(), fps=30))
        upkeep.merge(store)
    return folder / "store"


def make_results(folder: Path, letter: str) -> Path:
    """Curves of a few videos, each with an event, in one shard."""
    results = Results(folder / "results")
    categories = ("Normal", "Fighting")
    begin_run(results.path, RunRecord("m.pth", "0" * 64, "ucf-crime", categories, {}, "recipe", 0, 0.5, True))
    for number in range(N_VIDEOS):
        scores = np.full(320, 0.1, np.float32)
        scores[50:90] = 0.9
        category = np.full((20, 2), 0.5, np.float32)
        seconds = np.arange(320) / 10
        curve = AnomalyCurve(
            f"{letter}{number}", scores, seconds, category, categories, 16, Fraction(10), "nowhere.mp4"
        )
        write_curve(results.curves, curve, CurveOrigin("recipe", f"{letter}{number}", 0.5))
    results.refresh()
    results.merge()
    write_events(results, Chosen(merge_gap_seconds=0.0))
    return results.path


def metadata_places(data: bytes) -> list[int]:
    """Where a shard holds metadata: what is not numbers of data sets, by the runs of the same two bytes that those are;
    near the heads of HDF5's structures more often."""
    places = [place for place in range(len(data) - 16) if len(set(data[place : place + 16])) > 2]
    for head in HEADS:
        at = data.find(head)
        while at >= 0:
            places += list(range(at, min(at + 64, len(data)))) * 4
            at = data.find(head, at + 1)
    return places


def mutated(data: bytes, places: list[int], rng: random.Random) -> bytes:
    """A shard with one to four mutations."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place = rng.choice(places) if rng.random() < 0.95 else rng.randrange(len(data))
        kind = rng.randrange(4)
        if kind == 0:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[place] = rng.randrange(256)
        elif kind == 2:
            width = rng.choice((1, 2, 4, 8))
            value = rng.choice((*EXTREMES, len(data), rng.randrange(len(data)))) % (1 << 8 * width)
            changed[place : place + width] = value.to_bytes(width, "little")
        else:
            other = rng.choice(places)
            width = rng.choice((2, 4, 8, 24))
            changed[place : place + width] = changed[other : other + width]
    return bytes(changed[: len(data)])


def run(words: list[str]) -> tuple[int, str]:
    """A command in this process: its exit code, and all that it said."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(1), os.dup(2)
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        sys.argv = ["vad-pipeline", *words]
        try:
            main_of_command_line()
        except SystemExit as stop:
            code = stop.code or 0
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os.dup2(kept[0], 1), os.dup2(kept[1], 2)
            os.close(kept[0]), os.close(kept[1])
        file.seek(0)
        return code, file.read().decode(errors="replace")


def processes() -> list[int]:
    """This process, and those that it has begun."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [os.getpid(), *map(int, children)]


def peak_bytes() -> int:
    """The largest memory of this process and its children since this was asked last."""
    peaks = []
    for pid in processes():
        with contextlib.suppress(OSError, IndexError):  # one that has just ended
            status = Path(f"/proc/{pid}/status").read_text()
            peaks.append(int(status.split("VmHWM:")[1].split()[0]) << 10)
            Path(f"/proc/{pid}/clear_refs").write_text("5")
    return sum(peaks)


def with_mutation(folder: Path, name: str, shards: str, rng: random.Random) -> Path:
    """A copy of a store or results with a mutated shard of other videos beside the healthy one."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "v" / name, copy)
    (shard,) = (folder / "w" / name / shards).glob("*.h5")
    data = shard.read_bytes()
    (copy / shards / "0mutated.h5").write_bytes(mutated(data, metadata_places(data), rng))
    return copy


def trial(folder: Path, number: int, seed: int) -> Iterator[dict]:
    """One mutated shard through its commands: what is to be counted of each, and what is wrong."""
    rng = random.Random(f"{seed}-{number}")
    if number % 3 < 2:
        copy = with_mutation(folder, "store", "shards", rng)
        commands = [[*words, "--store", str(copy)] for words in OF_STORE]
    else:
        copy = with_mutation(folder, "results", "curves", rng)
        commands = [["events", str(copy), "--threshold", "0.8"]]
    for words in commands:
        began = time.monotonic()
        code, told = run(words)
        yield {
            "command": " ".join(word for word in words if not word.startswith("/")),
            "code": code,
            "seconds": time.monotonic() - began,
            "peak": peak_bytes(),
            "told": told[-400:],
            "crashed": "ends the process" in told,
            "endless": "does not end" in told,
            "memory": "far more memory" in told,
        }
    if number % 3 < 2:
        lost = [each for each in range(N_VIDEOS) if f"v{each}\t" not in told]
    else:
        rows = [json.loads(line) for line in (copy / "events.jsonl").read_text().splitlines()]
        lost = {f"v{each}" for each in range(N_VIDEOS)} - {row["video"] for row in rows}
    if lost:
        yield {"wrong": f"lost {sorted(lost)}: {told[-300:]}"}


def work(folder: Path, numbers: Iterable[int], seed: int) -> None:
    """Trials in this process, a line of JSON for each thing found."""
    out = os.fdopen(os.dup(1), "w")
    for words in ([*OF_STORE[0], "--store", str(folder / "v" / "store")], ["events", str(folder / "v" / "results")]):
        run(words)
    for number in numbers:
        for found in trial(folder, number, seed):
            print(json.dumps({"number": number, **found}), file=out, flush=True)


def supervised(folder: Path, n_shards: int, seed: int) -> Iterator[dict]:
    """What all trials found, in processes that are begun again where one has crashed or hung."""
    first = 0
    while first < n_shards:
        command = [sys.executable, __file__, "--seed", str(seed), "--shards", str(n_shards), "--first", str(first)]
        process = subprocess.Popen([*command, "--folder", str(folder)], stdout=subprocess.PIPE, text=True)
        timer = threading.Timer(HANGS_AFTER, process.kill)
        timer.start()
        for line in process.stdout:
            timer.cancel()
            timer = threading.Timer(HANGS_AFTER, process.kill)
            timer.start()
            found = json.loads(line)
            first = found["number"]
            yield found
        timer.cancel()
        if process.wait() == 0:
            return
        yield {"number": first, "wrong": f"ended with {process.returncode} in it or in the next"}
        first += 2


def main() -> None:
    """Mutate, run, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=1666)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="for the processes that this one begins")
    options = parser.parse_args()
    if options.folder:
        work(options.folder, range(options.first, options.shards), options.seed)
        return
    counted, peaks, wrong, slowest = Counter(), [], [], 0.0
    with tempfile.TemporaryDirectory() as temporary:
        for letter in "vw":
            make_store(Path(temporary) / letter, letter), make_results(Path(temporary) / letter, letter)
        for found in supervised(Path(temporary), options.shards, options.seed):
            if "wrong" in found:
                wrong.append(f"{found['number']}: {found['wrong']}")
                continue
            counted[f"{found['command']}: exit {found['code']}"] += 1
            counted.update(name for name in ("crashed", "endless", "memory") if found[name])
            slowest = max(slowest, found["seconds"])
            peaks.append(found["peak"])
            if found["code"] == 70 or "Traceback" in found["told"]:
                wrong.append(f"{found['number']}: {found['command']}: exit {found['code']}: {found['told']}")
    for name, count in sorted(counted.items()):
        print(f"{count:6d}  {name}")
    more = (max(peaks) - sorted(peaks)[len(peaks) // 2]) >> 20
    print(f"{options.shards} mutated shards; slowest command {slowest:.1f} s; at most {more} MB more than the median")
    if more > MORE_MB:
        wrong.append(f"{more} MB")
    for line in wrong:
        print(f"WRONG {line}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
