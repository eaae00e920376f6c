"""Commands of which one system call fails, or which are stopped: what they leave is the old or the new."""

from __future__ import annotations

import errno
import functools
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from attack_processes import CALLS, Ended, begin, ended, preload, run
from attack_scene import Scene
from attack_state import State, state_of

ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.EINTR)
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
ATTACKED = "attacked"
WRITTEN_TWICE = ("out/report/index.html", "out/report/data/overview.js")  # before the events have pictures, and after
MORE_SECONDS, MORE_BY_THE_CLOCK = (
    10,
    50,
)  # than undisturbed: of the processor; of a machine with other work, and waiting


@dataclass(frozen=True, slots=True)
class Case:
    """A command under attack."""

    start: str
    """Which folder of the scene it starts from."""
    command: Callable[[Scene, Path], list]
    again: Callable[[Scene, Path], list] | None = None
    """The command that goes on after a failure; None: the same."""


def _trained(*more: str) -> Case:
    def resumed(scene: Scene, case: Path) -> list:
        if not (case / "run" / "config.json").exists():
            return scene.train(case, *more)
        return ["train", "--resume", case / "run"]

    return Case("learning", lambda scene, case: scene.train(case, *more), resumed)


def _of_store(start: str, *words: str) -> Case:
    return Case(start, lambda scene, case: ["store", *words, "--store", case / "S"])


def _imported(scene: Scene, case: Path) -> list:
    return ["store", "import", scene.path / "features" / "list.csv", "--store", case / "S", "--like", "vadclip"]


def _scores(scene: Scene, case: Path) -> list:
    return ["import-scores", scene.path / "scores", "--frames", scene.path / "frames.csv", "--out", case / "out"]


def _search(scene: Scene, case: Path) -> list:
    return ["search", "--example", "v000@0:00", "--store", case / "S", "--html", case / "found.html"]


CASES = {
    "extract": Case("filmed", lambda scene, case: scene.extract(case)),
    "detect": Case("stored", lambda scene, case: scene.detect(case)),
    "detect --report": Case("full", lambda scene, case: scene.detect(case, "--report", "--threshold", "0.2")),
    "events": Case("shown", lambda scene, case: ["events", case / "out", "--threshold", "0.3"]),
    "clips": Case("full", lambda scene, case: ["clips", case / "out", "--sheet"]),
    "report": Case("full", lambda scene, case: ["report", case / "out"]),
    "train": _trained(),
    "train --head mil": _trained("--head", "mil"),
    "evaluate": Case("judged", lambda scene, case: ["evaluate", case / "out", *scene.truth, "--threshold", "0.9"]),
    "compare": Case("learning", lambda scene, case: scene.compare(case)),
    "import-scores": Case("empty", _scores),
    "search": Case("full", _search),
    "store ls": _of_store("split", "ls"),
    "store compact": _of_store("split", "compact"),
    "store verify": _of_store("full", "verify"),
    "store verify --repair": _of_store("damaged", "verify", "--repair"),
    "store verify --restore": _of_store("aside", "verify", "--restore"),
    "store rm": _of_store("split", "rm", "--match", "v001"),
    "store export": Case("full", lambda scene, case: ["store", "export", case / "x", "--store", case / "S"]),
    "store import": Case("empty", _imported),
    "plot": Case("shown", lambda scene, case: ["plot", case / "out", "v000", "--out", case / "p.png"]),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """How a case ends when nobody attacks it."""

    before: State
    after: State
    comparable: frozenset[str]
    """Files that are the same bytes each time."""
    present: frozenset[str]
    """Files that are there each time."""
    ended: Ended


@functools.cache
def reference(scene: Scene, name: str) -> Reference:
    """Run a case twice without a fault.

    Raises:
        SystemExit: it fails.
    """
    case, folder, ends = CASES[name], scene.path / ATTACKED, []
    for _ in range(2):
        fresh(scene.path / case.start, folder)
        done = run(case.command(scene, folder), (folder, CALLS[0], 0, 0))
        if done.code not in (0, 1) or done.complaint():
            raise SystemExit(f"{name}: exit {done.code}: {done.errors}")
        preload(done.imported)  # the second time, it is as fast as it will be
        ends.append(state_of(folder))
    one, other = (state.files for state in ends)
    # a clip that cannot be copied is encoded: another file, and as good
    same = frozenset(file for file in one if one[file] == other.get(file) and "clips/" not in file)
    before, present = state_of(scene.path / case.start), frozenset(one.keys() & other.keys())
    return Reference(before, ends[0], same, present, done)


def fresh(start: Path, folder: Path) -> None:
    """Copy a case's start in the place of what an attack has left."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(start, folder)


def lost(found: State, known: Reference) -> list[str]:
    """What is wrong with a state between the old one and the new one."""
    before, after = known.before, known.after
    wrong = [problem for problem in found.problems if problem not in before.problems]
    for what in ("features", "curves", "files"):
        old, new, now = (getattr(state, what) for state in (before, after, found))
        checked = known.comparable if what == "files" else old.keys() | new.keys()
        for name in checked:
            if name in now and name not in WRITTEN_TWICE and now[name] not in (old.get(name), new.get(name)):
                wrong.append(f"{what} of {name}: neither the old nor the new")
        kept = known.present & old.keys() if what == "files" else old.keys() & new.keys()
        wrong += [f"{what} of {name}: lost" for name in kept - now.keys()]
    return wrong


def unfinished(found: State, known: Reference) -> list[str]:
    """What is not as an undisturbed run leaves it."""
    wrong = [problem for problem in found.problems if problem not in known.after.problems]
    for what in ("features", "curves"):
        if getattr(found, what) != getattr(known.after, what):
            wrong.append(f"{what}: {sorted(getattr(found, what))} in the end")
    wrong += [f"{name} is missing in the end" for name in sorted(known.present - found.files.keys())]
    differ = [
        name for name in known.comparable if found.files.get(name, known.after.files[name]) != known.after.files[name]
    ]
    return wrong + [f"{name} differs in the end" for name in sorted(differ)]


def aftermath(scene: Scene, name: str, known: Reference, done: Ended, folder: Path) -> list[str]:
    """What is wrong after an attack, and after the same command has then been run undisturbed."""
    case = CASES[name]
    wrong = [done.complaint()] if done.complaint() else []
    more, by_the_clock = (getattr(done, of) - getattr(known.ended, of) for of in ("cpu_seconds", "seconds"))
    if more > MORE_SECONDS or by_the_clock > MORE_BY_THE_CLOCK + 4 * known.ended.seconds:
        wrong.append(f"takes {done.seconds:.0f} s, of the processor {done.cpu_seconds:.0f} s")
    wrong += lost(state_of(folder), known)
    again = run((case.again or case.command)(scene, folder))
    if again.code not in (0, known.ended.code) and case.start != "damaged" or again.complaint():
        wrong.append(f"again: exit {again.code}: {again.errors[-300:]}")
    return wrong + unfinished(state_of(folder), known)


def in_turn(places: Callable[[str], list], rng: random.Random, until: float) -> Iterator[tuple[str, object]]:
    """Commands, each with one of its places to attack, all of them before any a second time; each command gets as much
    time as the others."""
    waiting, spent = {name: [] for name in CASES}, dict.fromkeys(CASES, 0.0)
    while (started := time.monotonic()) < until:
        name = min(spent, key=spent.get)
        if not waiting[name]:
            every = places(name)
            waiting[name] = rng.sample(every, len(every))
        yield name, waiting[name].pop()
        spent[name] += time.monotonic() - started


def report(tally: object, where: str, done: Ended, wrong: list[str]) -> None:
    """Note what is wrong, and say it at once."""
    for each in wrong:
        tally.wrong.append(f"{where} (exit {done.code}): {each}")
        print("WRONG", tally.wrong[-1], done.errors[-200:], file=sys.stderr, flush=True)


def calls(scene: Scene, rng: random.Random, until: float, tally: object) -> None:
    """Failing calls under all commands."""
    reached, folder, slowest = defaultdict(set), scene.path / ATTACKED, 0.0
    possible = Counter()

    def places(name: str) -> list[tuple[str, int]]:
        counts = zip(CALLS, reference(scene, name).ended.counts, strict=True)
        found = [(call, number) for call, count in counts for number in range(1, count + 1)]
        possible.update(call for call, _ in found)
        return found

    for name, (call, number) in in_turn(functools.cache(places), rng, until):
        known, error = reference(scene, name), rng.choice(ERRORS)
        fresh(scene.path / CASES[name].start, folder)
        done = run(CASES[name].command(scene, folder), (folder, call, number, error))
        tally.tried[name] += 1
        tally.fired[name] += done.fired
        slowest = max(slowest, done.seconds)
        if done.fired:
            reached[call].add((name, number))
        where = (
            f"{name}: {call} {number} of {known.ended.counts[CALLS.index(call)]} fails with {errno.errorcode[error]}"
        )
        report(tally, where, done, aftermath(scene, name, known, done, folder))
        tally.notes[:] = [f"{call}: {len(reached[call])} of {possible[call]} (command, number)" for call in CALLS]
        tally.notes.append(f"the slowest took {slowest:.1f} s")


def interrupts(scene: Scene, rng: random.Random, until: float, tally: object) -> None:
    """Commands killed or interrupted at a random moment."""
    folder = scene.path / ATTACKED
    for name, moment in in_turn(lambda name: [index / 40 for index in range(40)], rng, until):
        known, stop = reference(scene, name), rng.choice(SIGNALS)
        fresh(scene.path / CASES[name].start, folder)
        with tempfile.TemporaryDirectory() as place:
            started = time.monotonic()
            child = begin(CASES[name].command(scene, folder), Path(place) / "r")
            while not (Path(place) / "r.begun").exists():
                time.sleep(0.001)
            time.sleep(moment * known.ended.seconds)
            os.killpg(child, stop)
            done = ended(child, Path(place) / "r", started)
        tally.tried[name] += 1
        tally.fired[name] += done.code in (-stop, 128 + stop)
        where = f"{name}: {stop.name} at {moment:.0%} of {known.ended.seconds:.1f} s"
        wrong = aftermath(scene, name, known, done, folder)
        if done.code == -signal.SIGKILL == -stop:
            wrong = [each for each in wrong if not each.startswith("exit ")]
        report(tally, where, done, wrong)
