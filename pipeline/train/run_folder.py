"""RUN, the folder of one training run. It is consistent at every moment, so that a killed run can be resumed."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.extract.embed.claims import MAX_STRUCTURE, check_claims
from vad_pipeline.extract.errors import ConfigError, StoreError, shown
from vad_pipeline.extract.files import TEMPORARY_PREFIX, read_versioned, refuse_failed_read, remove_partial, write_bytes
from vad_pipeline.extract.only_process import only_process
from vad_pipeline.model.run_names import BEST_NAME, LAST_NAME

if TYPE_CHECKING:
    from vad_pipeline.model.training import Training

CONFIG_NAME, METRICS_NAME, CHART_NAME = "config.json", "metrics.csv", "curves.png"
SUMMARY_NAME = "summary.json"
LOCK_NAME = ".training"
RUN_SCHEMA = 1
ROW_BYTES = 1000  # of a step's row in last.ckpt, at most
RATE_NAMES = ("normality_lr", "lr")  # columns of metrics.csv for learning rates; only DSANet has the first


class TrainRun:
    """The folder of one training run.

    Args:
        path: the folder, RUN.
    """

    def __init__(self, path: Path):
        self.path = path
        self.best = path / BEST_NAME
        self.last = path / LAST_NAME
        self.rows: list[dict[str, float | int | str]] = []
        """The rows of metrics.csv, one for each step."""

    @property
    def begun(self) -> bool:
        """Whether the folder holds a training run."""
        return (self.path / CONFIG_NAME).exists()

    def begin(self, config: dict) -> None:
        """Begin a training run in the folder by writing its config.json.

        Raises:
            ConfigError: the folder is not empty.
            StoreError: the folder cannot be written.
        """
        self.check_free()
        self.write_config(config)

    def check_free(self) -> None:
        """Check that the folder is empty or missing.

        Raises:
            ConfigError: the folder is not empty.
        """
        if self.begun:
            raise ConfigError(
                f"{self.path}: holds a training run; go on with --resume {self.path}, give another --out, or delete it"
            )
        if self.path.exists() and (not self.path.is_dir() or any(map(_is_content, self.path.iterdir()))):
            raise ConfigError(f"{self.path}: is not empty and holds no training run; give --out a new folder")

    def write_config(self, config: dict) -> None:
        """Replace config.json, which says all that the training run depends on."""
        write_bytes(self.path / CONFIG_NAME, json.dumps({"schema": RUN_SCHEMA, **config}, indent=2).encode())

    def config(self) -> dict:
        """Read config.json.

        Raises:
            ConfigError: the folder holds no training run.
            StoreError: config.json is damaged, or of a newer version.
        """
        if not self.begun:
            raise ConfigError(f"{self.path}: no training run (no {CONFIG_NAME}) to resume")
        path, advice = self.path / CONFIG_NAME, "start the run anew"
        config = read_versioned(path, RUN_SCHEMA, what="training run", advice=advice)
        try:
            if not all(isinstance(config.get(name, {}), dict) for name in ("options", "versions")):
                raise ValueError("options or versions are no objects")
            config["options"]["threads_used"]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path}: cannot be read ({error}); {advice}") from error
        return config

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder inside this block, so that no other process trains in it; make it where it is missing.

        Raises:
            ConfigError: another process trains in the folder.
            StoreError: the folder cannot be written.
        """
        with contextlib.suppress(OSError):  # an error is reported by the lock below
            self.path.mkdir(parents=True, exist_ok=True)
        with only_process(self.path / LOCK_NAME) as alone:
            if not alone:
                raise ConfigError(f"{self.path}: another process trains in it; wait for it, or give --out a new folder")
            yield

    def save(self, training: Training, columns: Sequence[str]) -> None:
        """Write last.ckpt, from which the run can be resumed, and metrics.csv with the same rows, for people to read.

        Raises:
            StoreError: the folder cannot be written; the state saved before is still there.
        """
        import torch

        buffer = io.BytesIO()
        torch.save({**training.state(), "rows": self.rows, "columns": list(columns)}, buffer)
        write_bytes(self.last, buffer.getbuffer())
        self._write_table(columns)

    def _write_table(self, columns: Sequence[str]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_bytes(self.path / METRICS_NAME, text.getvalue().encode())

    def load(self, training: Training) -> None:
        """Load the state that the run was saved in last into `training`; without one, leave it at the beginning.

        Raises:
            StoreError: last.ckpt is damaged.
        """
        import torch

        remove_partial(self.path)
        if not self.last.exists():
            return
        try:
            check_claims(self.last, most_structure=MAX_STRUCTURE + ROW_BYTES * training.schedule.n_steps)
            state = torch.load(self.last, map_location="cpu", weights_only=True)
            training.load_state(state)
            rows = state.get("rows")
            if rows is None:  # last.ckpt of an earlier version, which kept the rows only in metrics.csv
                rows = self._rows_of_table(training.step)
            self.rows = _checked(rows, training.step)
        except StoreError:
            raise
        except Exception as error:  # torch answers damage with anything from EOFError to KeyError
            refuse_failed_read(self.last, error)
            raise StoreError(f"{self.last}: cannot be read ({shown(str(error), 200)}); start the run anew") from error
        if "columns" in state:
            self._write_table(state["columns"])

    def _rows_of_table(self, step: int) -> list[dict[str, str]]:
        """Read the rows up to a step from metrics.csv."""
        try:
            with (self.path / METRICS_NAME).open(newline="") as file:
                return _checked([row for row in csv.DictReader(file) if int(row["step"]) <= step], step)
        except (OSError, ValueError, KeyError, TypeError) as error:
            refuse_failed_read(self.path / METRICS_NAME, error)
            raise StoreError(f"{self.path / METRICS_NAME}: cannot be read ({error}); start the run anew") from error


def _checked(rows: list[dict], step: int) -> list[dict]:
    """Return the rows if there is one for each step done.

    Raises:
        ValueError: a row is missing or too much.
        KeyError, TypeError: these are not rows of steps.
    """
    if [int(row["step"]) for row in rows] != list(range(1, step + 1)):
        raise ValueError(f"it lacks rows of the {step} steps done")
    for row in rows:
        float(row["total"]), int(row["best"])
    return rows


def _is_content(path: Path) -> bool:
    """Whether a file counts as content: not a half-written file of a killed run, and not the lock."""
    return not path.name.startswith(TEMPORARY_PREFIX) and path.name != LOCK_NAME
