"""run.json: what all curves of a results folder were made with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from vad_pipeline.extract.embed.encoder_config import WIDE_PRECISIONS
from vad_pipeline.extract.errors import ConfigError, StoreError, shown
from vad_pipeline.extract.files import read_versioned, write_bytes, write_if_absent

from .event_rule import AS_KEPT, Chosen, EventRule

RECORD_NAME = "run.json"
RESULTS_SCHEMA = 1
ANOMALY = "anomaly"
IMPORTED_FROM = "imported_from"  # only run.json of scores made elsewhere has it
IMPORTED_THRESHOLD = 0.5
NEEDED = "docs/reference.md says what a results folder needs"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The content of run.json: what all curves of a results folder were made with."""

    checkpoint: str
    """Path of the checkpoint, for people to read; `checkpoint_sha256` is what is compared."""
    checkpoint_sha256: str
    preset: str
    categories: tuple[str, ...]
    recipe: dict
    recipe_id: str
    crop: int
    threshold: float
    """The checkpoint's own; what a person sets is kept beside it: see `event_rule.py`."""
    calibrated: bool = True
    """Whether the scores mean what those of a trained checkpoint mean; False with --zero-shot."""
    clock: dict | None = None
    """`pattern` and `timezone` by which camera and start time are read from video ids; None where nobody gave them."""
    calibration: dict | None = None
    """What stands behind the checkpoint's threshold (see `Calibration`); None where nothing is known."""
    precision: str = "fp32"
    """Precision in which the newest curves were computed."""
    timed: str = ""
    """What that precision was chosen by: timings of the machine, in words; empty where it was asked for."""
    score: str = ANOMALY
    """Which of the network's scores the curves are: `anomaly`, or `category` (1 less the normal one's probability)."""
    delay: int | None = None
    """How many later snippets each score may have seen, as live; None: whole videos were scored."""
    int8_share: float = 0.0
    """Share of the videos, of those that the last `detect` looked at, whose features were made in int8."""
    schema: int = RESULTS_SCHEMA
    version: str = version("vad-pipeline")

    def clashes(self, other: dict) -> str | None:
        """Say why curves made with `other` must not lie in the same folder as these.

        Args:
            other: the run.json of a results folder.

        Returns:
            What differs, in words; None where both are of the same checkpoint, recipe and crop.
        """
        if IMPORTED_FROM in other:
            return f"imported scores ({other[IMPORTED_FROM]})"
        other = {"score": ANOMALY} | other  # there was no other at first
        differing = ("checkpoint_sha256", "checkpoint"), ("recipe_id", "recipe"), ("crop", "crop"), ("score", "score")
        for name, what in (*differing, ("delay", "delay")):
            if other.get(name) != getattr(self, name):
                if other.get(name) is None and name == "delay":
                    return "videos scored whole, without --delay"
                return f"another {what} ({other.get('checkpoint' if what == 'checkpoint' else name)})"
        return None


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """The content of run.json of scores that were made elsewhere: no checkpoint, no features."""

    imported_from: str
    """Path of the file or folder of scores, for people to read."""
    imported_sha256: str
    """SHA-256 over all that was read of it, hex."""
    imported_per: str
    """What each of the scores stands for: `frame` or `snippet`."""
    categories: tuple[str, ...]
    threshold: float = IMPORTED_THRESHOLD
    """In the middle, as nothing is known; what a person sets is kept beside it: see `event_rule.py`."""
    clock: dict | None = None
    schema: int = RESULTS_SCHEMA
    version: str = version("vad-pipeline")

    def clashes(self, other: dict) -> str | None:
        """Say why these curves must not lie in the folder of which `other` is the run.json; None where they may: newer
        scores of the same categories replace older ones."""
        if IMPORTED_FROM not in other:
            return f"a checkpoint ({other.get('checkpoint')})"
        if other.get("categories") != list(self.categories):
            return f"other categories ({', '.join(map(str, other.get('categories') or ()))})"
        return None


def read_record(results: Path) -> dict:
    """Read run.json of a results folder; its values are not checked.

    Raises:
        StoreError: the file cannot be read, or has a newer schema than this version knows.
    """
    advice = "delete it and detect again"
    return read_versioned(results / RECORD_NAME, RESULTS_SCHEMA, what="results", advice=advice)


def precision_of(record: dict) -> str:
    """The precision in which a folder's curves were computed, from its run.json; `fp32` where that does not say."""
    precision = record.get("precision")
    return precision if precision in WIDE_PRECISIONS else "fp32"


def write_record(results: Path, record: dict) -> None:
    """Replace run.json of a results folder.

    Raises:
        StoreError: the folder cannot be written.
    """
    write_bytes(results / RECORD_NAME, _as_json(record))


def _as_json(record: dict) -> bytes:
    return json.dumps(record, indent=2).encode()


def check_record(results: Path, record: RunRecord | ImportRecord, chosen: Chosen = AS_KEPT) -> None:
    """Check that a folder is empty, or holds results of this checkpoint, recipe and crop.

    Raises:
        ConfigError: the folder holds results of another checkpoint, recipe or crop, or a feature store; or what is
            chosen for it cannot be, see `Chosen.put_into`.
        StoreError: its run.json cannot be read.
    """
    if (results / "store.json").exists():
        raise ConfigError(f"{results}: is a feature store; give --out another folder")
    if (results / RECORD_NAME).exists():
        clash = record.clashes(read_record(results))
        if clash:
            raise ConfigError(f"{results}: holds results of {clash}; give another --out or delete it")
    chosen.put_into(read_record(results) if (results / RECORD_NAME).exists() else asdict(record))


def begin_run(results: Path, record: RunRecord | ImportRecord, chosen: Chosen = AS_KEPT) -> EventRule:
    """Begin or continue the results folder of this checkpoint, recipe and crop: write its run.json.

    Thresholds, merge gap and clock that a person set for the folder before are kept.

    Args:
        results: the folder.
        record: what the folder's curves are made with.
        chosen: thresholds, merge gap and clock that are set now.

    Returns:
        How events are found in the folder from now on.

    Raises:
        ConfigError, StoreError: see `check_record`.
    """
    check_record(results, record, chosen)
    values = asdict(record)
    if not (results / RECORD_NAME).exists():
        rule_of(results, chosen.put_into(values))
        write_if_absent(results / RECORD_NAME, _as_json(chosen.put_into(values)))
    check_record(results, record)  # of two runs that begin at once one was first
    before = AS_KEPT.put_into(read_record(results))
    values = chosen.put_into(values | {"kept": before["kept"], "clock": record.clock or before["clock"]})
    rule = rule_of(results, values)
    write_record(results, values)
    return rule


def rule_of(results: Path, record: dict) -> EventRule:
    """Read from a run.json how events are found.

    Args:
        results: the folder, for the error's words.
        record: the content of its run.json.

    Raises:
        StoreError: a threshold or the merge gap in it is not a number, or its hours are none.
    """
    try:
        return EventRule.of_record(record)
    except (ConfigError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise unusable(results, error) from error


def unusable(results: Path, error: Exception) -> StoreError:
    """The error of a run.json with a value that is missing, or that cannot be used."""
    path = results / RECORD_NAME
    if isinstance(error, KeyError):
        return StoreError(f"{path}: lacks `{error.args[0]}`; add it: {NEEDED}")
    reason = shown(str(error) if isinstance(error, ConfigError) else error)
    return StoreError(f"{path}: cannot be read ({reason}); delete it and detect again")
