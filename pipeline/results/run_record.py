"""run.json: what all curves of a results folder were made with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError, StoreError
from vad_pipeline.extract.files import write_bytes

from .event_rule import AS_KEPT, Chosen, EventRule

RECORD_NAME = "run.json"
RESULTS_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class RunRecord:
    """run.json: what all curves of a folder were made with."""

    checkpoint: str
    """Path, for people."""
    checkpoint_sha256: str
    preset: str
    categories: tuple[str, ...]
    recipe: dict
    recipe_id: str
    crop: int
    threshold: float
    """The checkpoint's own; what a person sets is kept beside it: see `event_rule.py`."""
    calibrated: bool = True
    """Whether scores mean what a trained checkpoint's do; not so with --zero-shot."""
    clock: dict | None = None
    """How ids are read for the wall clock: `pattern` and `timezone`."""
    schema: int = RESULTS_SCHEMA
    version: str = version("vad-pipeline")

    def clashes(self, other: dict) -> str | None:
        """What keeps curves of `other` and these from lying in one folder."""
        for name, what in (("checkpoint_sha256", "checkpoint"), ("recipe_id", "recipe"), ("crop", "crop")):
            if other.get(name) != getattr(self, name):
                return f"another {what} ({other.get('checkpoint' if what == 'checkpoint' else name)})"
        return None


def read_record(results: Path) -> dict:
    """run.json of a results folder, as it is.

    Raises:
        StoreError: it cannot be read, or is of a newer schema.
    """
    path = results / RECORD_NAME
    try:
        record = json.loads(path.read_text())
        schema = int(record["schema"])
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); delete it and detect again") from error
    if schema > RESULTS_SCHEMA:
        raise StoreError(f"{results}: results of schema {schema}, this version knows {RESULTS_SCHEMA}; upgrade")
    return record


def write_record(results: Path, record: dict) -> None:
    """Write run.json anew.

    Raises:
        StoreError: the folder cannot be written.
    """
    write_bytes(results / RECORD_NAME, json.dumps(record, indent=2).encode())


def check_record(results: Path, record: RunRecord) -> None:
    """See that a folder is free, or of this checkpoint, recipe and crop.

    Raises:
        ConfigError: it holds curves of others, or a feature store.
        StoreError: its run.json cannot be read.
    """
    if (results / "store.json").exists():
        raise ConfigError(f"{results}: is a feature store; give --out another folder")
    if (results / RECORD_NAME).exists():
        clash = record.clashes(read_record(results))
        if clash:
            raise ConfigError(f"{results}: holds results of {clash}; give another --out or delete it")


def begin_run(results: Path, record: RunRecord, chosen: Chosen = AS_KEPT) -> EventRule:
    """Make a folder one of this checkpoint, recipe and crop; what a person set for it before is kept.

    Args:
        results: the folder.
        record: what its curves are made with.
        chosen: thresholds, gap and clock that are set now.

    Returns:
        How its events are found from now on.

    Raises:
        ConfigError, StoreError: see `check_record`.
    """
    check_record(results, record)
    values = asdict(record)
    if (results / RECORD_NAME).exists():
        before = AS_KEPT.put_into(read_record(results))
        values |= {"kept": before["kept"], "clock": record.clock or before["clock"]}
    values = chosen.put_into(values)
    rule = rule_of(results, values)
    write_record(results, values)
    return rule


def rule_of(results: Path, record: dict) -> EventRule:
    """How events are found in a folder whose run.json says this.

    Raises:
        StoreError: it says something else than numbers.
    """
    try:
        return EventRule.of_record(record)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{results / RECORD_NAME}: cannot be read ({error!r}); delete it and detect again") from error
