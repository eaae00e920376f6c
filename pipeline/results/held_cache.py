"""RESULTS/curves/.held.json: what the attributes of all curves say, so that opening a large folder need not open every
shard. It may be lost: what it lacks, or says of a shard that has changed, is read from the shards."""

from __future__ import annotations

import contextlib
import json
import math
import os
from dataclasses import astuple
from fractions import Fraction
from pathlib import Path

from vad_pipeline.extract.errors import VadError
from vad_pipeline.extract.files import write_bytes
from vad_pipeline.extract.names import flat, is_plain_id
from vad_pipeline.extract.store.versions import Version

from .curve_group import HeldCurve

CACHE_NAME = ".held.json"
SCHEMA = 1
LEAST_CURVES = 200  # fewer are read as fast from their shards

Held = dict[str, HeldCurve]


class HeldCache:
    """The curves of whole shards, known by the name, size and time of the shard's file.

    Args:
        curves: the folder of shards.
    """

    def __init__(self, curves: Path):
        self._path = curves / CACHE_NAME
        self._shards: dict[str, tuple[list[int], Held]] = {}
        """Name of a shard -> its size and time, and its curves by group name."""
        self._kept: set[str] = set()
        """Names of the shards that the file has; the others are new."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._read()

    def _read(self) -> None:
        record = json.loads(self._path.read_bytes())
        if record["schema"] == SCHEMA:
            shards = {
                name: (stamp, {group: _held(name, group, *values) for group, values in held.items()})
                for name, (stamp, held) in record["shards"].items()
            }
            self._shards, self._kept = shards, set(shards)

    def get(self, shard: Path) -> Held | None:
        """The curves of a shard; None where they are not known, or the file has changed."""
        stamp, held = self._shards.get(shard.name, (None, None))
        return held if stamp is not None and stamp == _stamp(shard) else None

    def put(self, shard: Path, held: Held) -> None:
        """Remember the curves of a shard, all of which could be read."""
        stamp = _stamp(shard)
        if stamp is not None:
            self._shards[shard.name] = stamp, held
            self._kept.discard(shard.name)

    def keep(self, shards: set[str]) -> None:
        """Write what is known of these shards, where that is new and enough to be worth it.

        Args:
            shards: the names of all shards that are there; others are forgotten.
        """
        known = {name: value for name, value in self._shards.items() if name in shards}
        if set(known) == self._kept or sum(len(held) for _, held in known.values()) < LEAST_CURVES:
            return
        rows = {name: (stamp, {group: _row(each) for group, each in held.items()}) for name, (stamp, held) in
                known.items()}  # fmt: skip
        with contextlib.suppress(VadError):  # a folder that cannot be written is read all the same
            write_bytes(self._path, json.dumps({"schema": SCHEMA, "shards": rows}).encode())
            self._shards, self._kept = known, set(known)


def _stamp(shard: Path) -> list[int] | None:
    try:
        found = os.stat(shard)
    except OSError:  # merged away by another run
        return None
    return [found.st_size, found.st_mtime_ns]


def _row(held: HeldCurve) -> list:
    version, *values, fps = astuple(held)
    return [version[0], *values, fps and [fps.numerator, fps.denominator]]


def _held(shard: str, group: str, written_ns: int, video: str, *rest) -> HeldCurve:
    """The curve of a row.

    Raises:
        ValueError, TypeError: no curve has such attributes.
    """
    made_from, peak_score, source_sha256, n_frames, fps = rest
    whole = all(type(value) is int and value >= least for value, least in
                ((written_ns, 0), (n_frames, 0), *((part, 1) for part in fps or ())))  # fmt: skip
    texts = all(isinstance(value, str) for value in (made_from, source_sha256))
    if not (whole and texts and is_plain_id(video) and math.isfinite(peak_score)):
        raise ValueError("not what is written here")
    if group.rpartition("@")[0] != flat(video):
        raise ValueError("its group has another name")
    rate = Fraction(*fps) if fps else None
    return HeldCurve(Version(written_ns, shard), video, made_from, peak_score, source_sha256, n_frames, rate)
