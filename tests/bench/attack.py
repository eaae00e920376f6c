"""Attacks as strangers, disks and power cuts make them: `python tests/bench/attack.py --minutes 60 [--only calls]`.

Sweeps, each a seeded sample that ends with its share of the time:

- calls: the n-th open, read, write, fsync, rename, unlink or link fails with EIO, ENOSPC, EDQUOT, ESTALE or EINTR
  (failing_calls.c), under every command that writes. Afterwards: a documented exit code, a sentence, nothing lost,
  every file whole and the old one or the new one; the same command again ends as if nothing had happened.
- kills: commands over one store at the same time, killed at a random moment; nothing lost, nothing twice.
- texts: mutated text files through every reader (attack_texts.py): a sentence or understood, within seconds.
- checkpoints: files that ask for much (attack_checkpoints.py): refused at the cost of little more than a good one.
- shards: mutated shards, by mutated_shards.py.

Prints a Markdown table and which (call, number) were reached; exits 1 where something went wrong, and says what.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.EINTR)
SHARES = {"calls": 0.5, "kills": 0.15, "texts": 0.15, "checkpoints": 0.1, "shards": 0.1}
SHIM = "VAD_ATTACK_SHIM"


def with_shim() -> None:
    """Start anew with failing_calls.c loaded, unless this process has it."""
    if SHIM in os.environ:
        return
    library = Path(tempfile.mkdtemp()) / "failing.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, HERE / "failing_calls.c", "-ldl"], check=True)
    settings = {"LD_PRELOAD": str(library), SHIM: str(library), "OMP_NUM_THREADS": "1", "VAD_PIPELINE_RUNTIME": "torch"}
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | settings)


if __name__ == "__main__":
    with_shim()
    shutil.rmtree(Path(os.environ[SHIM]).parent, ignore_errors=True)  # loaded already

from attack_checkpoints import checkpoints  # noqa: E402
from attack_scene import CALLS, Scene, State, begin, ended, make_scene, run, state_of  # noqa: E402
from attack_texts import texts  # noqa: E402


@dataclass(slots=True)
class Tally:
    """What one sweep came to."""

    tried: Counter = field(default_factory=Counter)
    fired: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Case:
    """A command under attack."""

    start: str
    """Which folder of the scene it starts from."""
    command: Callable[[Scene, Path], list]
    again: Callable[[Scene, Path], list] | None = None
    """The command that goes on after a failure; None: the same."""


def _resumed(scene: Scene, case: Path) -> list:
    if not (case / "run" / "config.json").exists():
        return scene.train(case)
    return ["train", "--resume", case / "run"]


CASES = {
    "extract": Case("empty", lambda scene, case: scene.extract(case)),
    "detect": Case("stored", lambda scene, case: scene.detect(case)),
    "detect --report": Case("full", lambda scene, case: scene.detect(case, "--report", "--threshold", "0.2")),
    "events": Case("shown", lambda scene, case: ["events", case / "out", "--threshold", "0.3"]),
    "clips": Case("full", lambda scene, case: ["clips", case / "out", "--sheet"]),
    "report": Case("full", lambda scene, case: ["report", case / "out"]),
    "train": Case("empty", lambda scene, case: scene.train(case), _resumed),
    "store compact": Case("split", lambda scene, case: ["store", "compact", "--store", case / "S"]),
    "store verify": Case("full", lambda scene, case: ["store", "verify", "--store", case / "S"]),
    "store verify --repair": Case(
        "damaged", lambda scene, case: ["store", "verify", "--repair", "--store", case / "S"]
    ),
    "store verify --restore": Case(
        "aside", lambda scene, case: ["store", "verify", "--restore", "--store", case / "S"]
    ),
    "store rm": Case("split", lambda scene, case: ["store", "rm", "--match", "v001", "--store", case / "S"]),
    "store export": Case("full", lambda scene, case: ["store", "export", case / "x", "--store", case / "S"]),
    "store import": Case(
        "empty",
        lambda scene, case: (
            ["store", "import", scene.path / "features" / "list.csv", "--store", case / "S"] + ["--like", "vadclip"]
        ),
    ),
    "plot": Case("stored", lambda scene, case: ["plot", scene.path / "shown" / "out", "v000", "--out", case / "p.png"]),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """How a case ends when nobody attacks it."""

    before: State
    after: State
    comparable: frozenset[str]
    """Files that are the same bytes each time."""
    counts: tuple[int, ...]


def reference(scene: Scene, case: Case, folder: Path) -> Reference:
    """Run a case twice without a fault."""
    ends = []
    for _ in range(2):
        fresh(scene, case, folder)
        done = run(case.command(scene, folder), (folder, CALLS[0], 0, 0))
        if done.code not in (0, 1):
            raise SystemExit(f"{case}: exit {done.code}: {done.errors}")
        ends.append(state_of(folder))
    one, other = ends
    same = {name for name in one.files if one.files[name] == other.files.get(name)}
    # a clip that cannot be copied is encoded: another file, and as good
    comparable = frozenset(name for name in same if "clips/" not in name)
    return Reference(state_of(scene.path / case.start), one, comparable, done.counts)


def fresh(scene: Scene, case: Case, folder: Path) -> None:
    """Copy a case's start."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(scene.path / case.start, folder)


def lost(found: State, known: Reference) -> list[str]:
    """What is wrong with a state between the old one and the new one."""
    before, after = known.before, known.after
    wrong = [problem for problem in found.problems if problem not in before.problems]
    for what in ("features", "curves", "files"):
        old, new, now = (getattr(state, what) for state in (before, after, found))
        checked = known.comparable if what == "files" else old.keys() | new.keys()
        for name in checked:
            if name in now and now[name] not in (old.get(name), new.get(name)):
                wrong.append(f"{what} of {name}: neither the old nor the new")
            if name not in now and name in old and name in new:
                wrong.append(f"{what} of {name}: lost")
    return wrong


def unfinished(found: State, known: Reference) -> list[str]:
    """What is not as an undisturbed run leaves it."""
    wrong = [problem for problem in found.problems if problem not in known.after.problems]
    for what in ("features", "curves"):
        if getattr(found, what) != getattr(known.after, what):
            wrong.append(f"{what}: {sorted(getattr(found, what))} in the end")
    differ = [name for name in known.comparable if found.files.get(name) != known.after.files[name]]
    return wrong + [f"{name} differs in the end" for name in sorted(differ)]


def calls(scene: Scene, rng: random.Random, until: float, tally: Tally) -> None:
    """Failing calls under all commands."""
    reached, every = defaultdict(set), {}
    folder = scene.path / "attacked"
    for name, case in CASES.items():
        every[name] = reference(scene, case, folder)
    while time.monotonic() < until:
        name = rng.choice(list(CASES))
        case, known = CASES[name], every[name]
        kind = rng.choice([kind for kind, count in enumerate(known.counts) if count])
        number, error = rng.randint(1, known.counts[kind]), rng.choice(ERRORS)
        fresh(scene, case, folder)
        done = run(case.command(scene, folder), (folder, CALLS[kind], number, error))
        where = f"{name}: {CALLS[kind]} {number} of {known.counts[kind]} fails with {errno.errorcode[error]}"
        tally.tried[name] += 1
        tally.fired[name] += done.fired
        if done.fired:
            reached[CALLS[kind]].add((name, number))
        wrong = [done.complaint()] if done.complaint() else []
        wrong += lost(state_of(folder), known)
        again = run((case.again or case.command)(scene, folder))
        if again.code != 0 and case.start != "damaged" or again.complaint():
            wrong.append(f"again: exit {again.code}: {again.errors[-300:]}")
        wrong += unfinished(state_of(folder), known)
        for each in wrong:
            tally.wrong.append(f"{where} (exit {done.code}): {each}")
            print("WRONG", tally.wrong[-1], done.errors[-200:], file=sys.stderr, flush=True)
    for kind, call in enumerate(CALLS):
        possible = sum(known.counts[kind] for known in every.values())
        tally.notes.append(f"{call}: {len(reached[call])} of {possible} (command, number)")


def over_one_store(scene: Scene, folder: Path) -> dict[str, list]:
    """Commands that may run over one store at the same time."""
    store = ["--store", folder / "S"]
    return {
        "extract": scene.extract(folder),
        "compact": ["store", "compact", *store],
        "repair": ["store", "verify", "--repair", *store],
        "verify": ["store", "verify", *store],
        "import": ["store", "import", scene.path / "features" / "list.csv", "--like", "vadclip", *store],
        "detect": scene.detect(folder),
        "ls": ["store", "ls", *store],
    }


def kills(scene: Scene, rng: random.Random, until: float, tally: Tally) -> None:
    """Kills over concurrent commands."""
    folder, case = scene.path / "attacked", Case("split", lambda scene, case: [])
    before = state_of(scene.path / "split")
    while time.monotonic() < until:
        fresh(scene, case, folder)
        commands = over_one_store(scene, folder)
        names = rng.sample(list(commands), 3)
        tally.tried[" + ".join(sorted(names))] += 1
        started = time.monotonic()
        children = {begin(commands[name], scene.path / name): name for name in names}
        time.sleep(rng.uniform(0, 3))
        victims = rng.sample(list(children), rng.randint(1, len(children)))
        for child in victims:
            os.killpg(child, signal.SIGKILL)
        wrong = []
        for child, name in children.items():
            done = ended(child, scene.path / name, started)
            was_killed = done.code == -signal.SIGKILL
            tally.fired["killed"] += was_killed
            if not was_killed and done.complaint():
                wrong.append(f"{name}: {done.complaint()}")
        after = state_of(folder)
        wrong += after.problems
        wrong += [
            f"{video} is lost" for video in before.features if after.features.get(video) != before.features[video]
        ]
        for name in ("extract", "compact", "verify"):
            done = run(commands[name])
            wrong += [f"{name} afterwards: exit {done.code}: {done.errors[-300:]}"] if done.code else []
        end = state_of(folder)
        wrong += [
            f"{video} differs in the end" for video, it in before.features.items() if end.features.get(video) != it
        ]
        for each in wrong + end.problems:
            tally.wrong.append(f"{', '.join(names)}, killed {', '.join(children[v] for v in victims)}: {each}")
            print("WRONG", tally.wrong[-1], file=sys.stderr, flush=True)


def shards(scene: Scene, rng: random.Random, until: float, tally: Tally) -> None:
    """Mutated shards, by the script that does only that."""
    script = HERE / "mutated_shards.py"
    if not script.exists():
        tally.notes.append("no mutated_shards.py here")
        return
    minutes = max(0.1, (until - time.monotonic()) / 60)
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    command = [sys.executable, script, "--minutes", f"{minutes:.2f}", "--seed", str(rng.randrange(1 << 30))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    tally.tried["mutated_shards.py"] += 1
    tally.notes.append(done.stdout.strip())
    if done.returncode:
        tally.wrong.append(f"mutated_shards.py: exit {done.returncode}: {done.stderr[-2000:]}")


SWEEPS = {"calls": calls, "kills": kills, "texts": texts, "checkpoints": checkpoints, "shards": shards}


def main() -> int:
    """Attack for as long as asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(SWEEPS), help="sweeps, joined with commas")
    options = parser.parse_args()
    names, tallies = options.only.split(","), {}
    with tempfile.TemporaryDirectory() as folder:
        scene = make_scene(Path(folder))
        for name in names:
            share = SHARES[name] / sum(SHARES[each] for each in names)
            until = time.monotonic() + 60 * options.minutes * share
            tallies[name] = Tally()
            SWEEPS[name](scene, random.Random(f"{options.seed} {name}"), until, tallies[name])
    print("| sweep | what | tried | happened |\n|---|---|---|---|")
    for name, tally in tallies.items():
        for what, count in sorted(tally.tried.items()):
            print(f"| {name} | {what} | {count} | {tally.fired.get(what, '')} |")
    for name, tally in tallies.items():
        print(*(f"\n{name}: {note}" for note in tally.notes), sep="")
        print(f"\n{name}: {sum(tally.tried.values())} tried, {len(tally.wrong)} wrong")
        print(*(f"- {each}" for each in tally.wrong), sep="\n")
    return int(any(tally.wrong for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
