"""One row of a comparison with one seed: trained, scored, and what is known of both, kept in the comparison's folder.

OUT/rows/NAME/row.json           what the row was trained with: options, and files by their hash
OUT/rows/NAME/seed-0/            RUN, as `train` writes it and `train --resume` goes on with it
OUT/rows/NAME/seed-0_results/    results, as `detect` writes them
OUT/rows/NAME/seed-0.json        is there once the run is trained: how long it took, and which videos are scored
OUT/rows/NAME/tests.txt          the ids of the videos that are scored
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError, StoreError, shown
from vad_pipeline.extract.files import fingerprint, refuse_failed_read, write_bytes
from vad_pipeline.extract.recipe import SNIPPET_LEN
from vad_pipeline.extract.stopwatch import Stopwatch
from vad_pipeline.model.run_names import BEST_NAME, LAST_NAME

from ..outcomes.history import read_story
from ..results.file_names import safe_stem
from ..results.run_record import RECORD_NAME
from ..train.options import TrainOptions
from ..train.run_folder import METRICS_NAME, TrainRun
from .row_file import OWN_CODE

ROW_NAME, TESTS_NAME = "row.json", "tests.txt"
KEPT, TO_SCORE, TO_RESUME, TO_TRAIN = "kept", "trained, to be scored", "begun, to go on with", "to be trained"
UNTRAINABLE = "cannot be trained or scored"
SHOWN_CHANGES = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    name: str
    words: tuple[str, ...] = field(repr=False)
    """Its command line of `train`, but for --out and --seeds."""
    options: TrainOptions = field(repr=False)
    folder: Path
    """OUT/rows/NAME."""

    @classmethod
    def of(cls, name: str, words: Sequence[str], options: TrainOptions, out: Path) -> Row:
        """A row of a comparison that is kept in `out`."""
        return cls(name, tuple(words), options, out / "rows" / safe_stem(name))

    def identity(self) -> dict:
        """What its weights depend on, but for the seed: options, and the files that they name by hash."""
        told = self.options.to_json()
        kept = {each.name for each in fields(TrainOptions) if not each.metadata} - {"seeds"} | {"store"}
        options = {name: value for name, value in sorted(told.items()) if name in kept}
        named = [part for value in told.values() for part in (value if isinstance(value, list) else [value])]
        return {"options": options, "files": dict(_hashed(named))}

    def check_unchanged(self) -> None:
        """Check that the row is still the one of which runs are kept, if there are any.

        Raises:
            ConfigError: it has changed; the message says what.
            StoreError: what is kept of it cannot be read.
        """
        path = self.folder / ROW_NAME
        if not path.exists() or not self._has_weights():
            return
        before, now = _read_json(path), json.loads(json.dumps(self.identity()))
        changed = [
            f"{name} {shown(now[kind].get(name))} instead of {shown(before[kind].get(name))}"
            for kind in ("options", "files")
            for name in sorted({*now[kind], *before[kind]})
            if now[kind].get(name) != before[kind].get(name)
        ]
        if changed:
            raise ConfigError(
                f"has changed since it was trained ({'; '.join(changed[:SHOWN_CHANGES])}): give it another name, give "
                f"another --out, or delete {self.folder}"
            )

    def keep_identity(self) -> None:
        """Write down what the row is, before it has any weights."""
        if not self._has_weights():
            write_bytes(self.folder / ROW_NAME, json.dumps(self.identity(), indent=2).encode())

    def _has_weights(self) -> bool:
        """Whether anything was trained of it: a row that failed in its first step may be mended and tried again."""
        return any(True for name in (BEST_NAME, LAST_NAME) for _ in self.folder.glob(f"seed-*/{name}"))


@dataclass(frozen=True, slots=True)
class SeedRun:
    """A row with one seed."""

    row: Row
    seed: int

    def __str__(self) -> str:
        return f"{self.row.name}, seed {self.seed}"

    @property
    def path(self) -> Path:
        """RUN of `train`."""
        return self.row.folder / f"seed-{self.seed}"

    @property
    def results(self) -> Path:
        """The results folder."""
        return self.row.folder / f"seed-{self.seed}_results"

    @property
    def record(self) -> Path:
        """What is known of the training, once it is done."""
        return self.row.folder / f"seed-{self.seed}.json"

    @property
    def is_trained(self) -> bool:
        """Whether its training is done."""
        return self.record.exists() and TrainRun(self.path).best.exists()

    def state(self, tests: Sequence[str]) -> str:
        """How far it is: KEPT, TO_SCORE, TO_RESUME or TO_TRAIN.

        Args:
            tests: the ids of the videos that are scored.
        """
        if self.is_trained:
            scored = _read_json(self.record).get("scored") == _digest(tests) and (self.results / RECORD_NAME).exists()
            return KEPT if scored else TO_SCORE
        return TO_RESUME if TrainRun(self.path).last.exists() else TO_TRAIN

    def train(self, train: Callable[[list[str]], int]) -> None:
        """Train it, or go on where it was interrupted.

        Args:
            train: runs `train` with a command line, and gives its exit code.

        Raises:
            ConfigError: it cannot be trained.
        """
        run = TrainRun(self.path)
        if run.begun and not run.last.exists() and not run.best.exists():
            with run.held():  # begun, and not one step kept: it is begun anew, maybe with other options
                shutil.rmtree(run.path)
        begun, before = run.begun, _steps_done(self.path)
        own = ["--resume", str(self.path)] if begun else ["--out", str(self.path), "--seeds", str(self.seed)]
        with Stopwatch() as watch:
            code = train(own if begun else [*self.row.words, *own])
        if code:
            raise ConfigError(f"training ended with exit code {code}")
        n_steps = _steps_done(self.path)
        # of a run that was interrupted only the last part was timed
        seconds = watch.seconds * n_steps / (n_steps - before) if n_steps > before else None
        write_bytes(self.record, json.dumps({"steps": n_steps, "train_seconds": seconds}, indent=2).encode())

    def score(self, detect: Callable[[list[str]], int], tests: Sequence[str]) -> None:
        """Score the test videos; those scored already are kept.

        Args:
            detect: runs `detect` with a command line, and gives its exit code.
            tests: their ids.

        Raises:
            ConfigError: some cannot be scored.
        """
        options, best = self.row.options, TrainRun(self.path).best
        listed = self.row.folder / TESTS_NAME
        write_bytes(listed, "".join(f"{video_id}\n" for video_id in tests).encode())
        words = ["--checkpoint", str(best), "--out", str(self.results), "--list", str(listed), "--precision", "fp32"]
        words += ["--store", str(options.store), "--device", options.device, "--quiet"]
        words += ["--catalogue", str(options.catalogue)] if options.catalogue else []
        words += ["--head", options.head] if options.head and OWN_CODE.fullmatch(options.head) else []
        if code := detect(words):
            raise ConfigError(f"scoring ended with exit code {code}; `vad-pipeline status {self.results}` says why")
        write_bytes(self.record, json.dumps({**_read_json(self.record), "scored": _digest(tests)}, indent=2).encode())

    def train_seconds(self) -> float | None:
        """How long training took; None where that is not known."""
        return _read_json(self.record).get("train_seconds")

    def snippets_per_second(self) -> float | None:
        """How fast it was scored, reading and writing left out; None where that is not known."""
        runs = read_story(self.results).runs
        seconds = sum(run.stage_seconds["score"] for run in runs)
        return sum(run.n_frames for run in runs) / SNIPPET_LEN / seconds if seconds else None

    def n_parameters(self) -> int:
        """How many numbers the network that scores was trained to have.

        Raises:
            ConfigError: the checkpoint is damaged.
            StoreError: it cannot be read.
        """
        from safetensors import SafetensorError, safe_open

        from vad_pipeline.model.checkpoint import TEXT_FEATURES, TRAINING_PREFIX

        best = TrainRun(self.path).best
        try:
            with safe_open(best, framework="np") as file:
                names = file.keys()
                scoring = [name for name in names if not name.startswith(TRAINING_PREFIX) and name != TEXT_FEATURES]
                return sum(math.prod(file.get_slice(name).get_shape()) for name in scoring)
        except (OSError, SafetensorError) as error:
            refuse_failed_read(best, error)
            raise ConfigError(
                f"{best}: is damaged ({shown(str(error))}); delete {self.path} and {self.results}, then run the same "
                "again"
            ) from error


def _digest(tests: Sequence[str]) -> str:
    """A text that is the same for the same videos."""
    return hashlib.sha256("\n".join(sorted(tests)).encode()).hexdigest()


def _steps_done(run: Path) -> int:
    """The steps of a run that are saved."""
    try:
        with (run / METRICS_NAME).open(newline="") as file:
            return sum(1 for _ in csv.DictReader(file))
    except FileNotFoundError:
        return 0


def _hashed(named: Sequence[object]) -> Iterator[tuple[str, str]]:
    """The files among values of options, each with its SHA-256."""
    for value in named:
        if not isinstance(value, str):
            continue
        code = OWN_CODE.fullmatch(value)
        path = Path(code["file"] if code else value)
        if path.is_file():
            yield str(path), fingerprint(path)


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("no object")
        return content
    except (OSError, ValueError, RecursionError) as error:
        refuse_failed_read(path, error)
        raise StoreError(f"{path}: cannot be read ({shown(str(error))}); delete it, then run the same again") from error
