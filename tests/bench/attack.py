"""Attacks as strangers, disks and power cuts make them: `python tests/bench/attack.py --minutes 60 [--only calls]`.

Sweeps, each a seeded sample that ends with its share of the time:

- calls: the n-th open, read, write, fsync, rename, unlink or link fails with EIO, ENOSPC, EDQUOT, ESTALE or EINTR
  (failing_calls.c), under every command that writes (attack_calls.py). Afterwards: a documented exit code, a sentence,
  nothing lost, every file whole and the old one or the new one; the same command again ends as if nothing had happened.
- interrupts: the same commands, killed, interrupted or terminated at a random moment; the same afterwards.
- kills: commands over one store at the same time, killed at a random moment; nothing lost, nothing twice.
- texts: mutated text files through every reader (attack_texts.py): a sentence or understood, within seconds.
- checkpoints: files that ask for much (attack_checkpoints.py): refused at the cost of little more than a good one.
- shards: mutated shards beside healthy ones (mutated_shards.py): no crash, nothing healthy lost, little memory.

Prints a Markdown table and which (call, number) were reached; exits 1 where something went wrong, and says what.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SHARES = {"calls": 0.5, "interrupts": 0.1, "kills": 0.1, "texts": 0.05, "checkpoints": 0.1, "shards": 0.15}
SHARDS_AT_ONCE, SHARD_SECONDS, MORE_MB = 12, 60, 300
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
    del os.environ["LD_PRELOAD"]  # what this process begins anew finds none

from attack_calls import ATTACKED, calls, fresh, interrupts  # noqa: E402
from attack_checkpoints import checkpoints  # noqa: E402
from attack_processes import begin, ended, forked, run  # noqa: E402
from attack_scene import Scene, make_scene  # noqa: E402
from attack_state import state_of  # noqa: E402
from attack_texts import texts  # noqa: E402
from mutated_shards import make_results, make_store, trial  # noqa: E402


@dataclass(slots=True)
class Tally:
    """What one sweep came to."""

    tried: Counter = field(default_factory=Counter)
    fired: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    bounded: Counter = field(default_factory=Counter)
    """What ended the process that reads what may be hostile."""


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
    folder = scene.path / ATTACKED
    before = state_of(scene.path / "split")
    while time.monotonic() < until:
        fresh(scene.path / "split", folder)
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


def _some_shards(folder: Path, seed: int) -> list[dict]:
    found = []
    for number in range(SHARDS_AT_ONCE):
        signal.alarm(SHARD_SECONDS)
        found += [{**each, "number": number} for each in trial(folder, number, seed)]
    return found


def shards(scene: Scene, rng: random.Random, until: float, tally: Tally) -> None:
    """Mutated shards through the commands that read them."""
    folder, peaks = scene.path / "of-shards", []
    folder.mkdir()
    for letter in "vw":
        forked(lambda letter=letter: [make_store(folder / letter, letter), make_results(folder / letter, letter)][2:])
    while time.monotonic() < until:
        seed = rng.randrange(1 << 30)
        found = forked(lambda seed=seed: _some_shards(folder, seed))
        tally.tried["mutated shards"] += SHARDS_AT_ONCE
        if isinstance(found, str):  # it died
            found = [{"wrong": found, "number": "any"}]
        for each in found:
            where = f"number {each['number']} of seed {seed}"
            if "wrong" in each:
                tally.wrong.append(f"{where}: {each['wrong']}")
                continue
            tally.fired["mutated shards"] += each["code"] != 0 or bool(each["told"].count("damaged"))
            peaks.append(each["peak"] >> 20)
            what = [name for name in ("crashed", "endless", "memory") if each[name]]
            tally.bounded.update(what)
            if each["code"] not in (0, 1) or "Traceback" in each["told"]:
                tally.wrong.append(f"{where}: {each['command']}: exit {each['code']}: {each['told']}")
        more = max(peaks, default=0) - sorted(peaks)[len(peaks) // 2]
        tally.notes[:] = [f"at most {more} MB more than the median; of the process that reads: {dict(tally.bounded)}"]
    if peaks and more > MORE_MB:
        tally.wrong.append(f"{more} MB more than the median")


SWEEPS = {
    "calls": calls, "interrupts": interrupts, "kills": kills, "texts": texts, "checkpoints": checkpoints,
    "shards": shards,
}  # fmt: skip


def show(name: str, tally: Tally) -> None:
    """Print what a sweep came to, as soon as it has ended."""
    print("\n| sweep | what | tried | happened |\n|---|---|---|---|")
    for what, count in sorted(tally.tried.items()):
        print(f"| {name} | {what} | {count} | {tally.fired.get(what, '')} |")
    print(*(f"\n{name}: {note}" for note in tally.notes), sep="")
    print(f"\n{name}: {sum(tally.tried.values())} tried, {len(tally.wrong)} wrong")
    print(*(f"- {each}" for each in tally.wrong), sep="\n", flush=True)


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
            show(name, tallies[name])
    return int(any(tally.wrong for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
