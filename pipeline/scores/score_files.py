"""Reads scores that others made, in the ways in which they keep them: which videos there are, and each one's values."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vad_pipeline.extract.errors import ConfigError, readable
from vad_pipeline.extract.files import fingerprint
from vad_pipeline.extract.lists import FEATURE_SUFFIXES
from vad_pipeline.extract.names import plural
from vad_pipeline.extract.store.arrays import read_array

from .mat_file import MAT, read_mat
from .score_table import read_table

TABLE = ".csv"
SUFFIXES = (*FEATURE_SUFFIXES, TABLE, MAT)
EXPECTED = "numbers of shape (n,), one a frame or snippet, or (n, categories)"


@dataclass(frozen=True, slots=True, eq=False)
class GivenScores:
    """The scores of one video, as they were given."""

    name: str
    """What the video is called there."""
    file: Path
    n: int
    """How many there are; 0 where they cannot be read."""
    read: Callable[[], np.ndarray] = field(repr=False)
    """Reads them, (n, columns) float64; raises ConfigError where they cannot be read."""
    per: str | None = None
    """What each stands for, `frame` or `snippet`, where the file says it."""


def given_in(path: Path, categories: Sequence[str]) -> list[GivenScores]:
    """The scores in a folder, one file a video; or in one file, of one video or of several in a table.

    In a folder a video is called like its file's path without suffix. A file that cannot be read costs its video.

    Args:
        path: the folder or file.
        categories: names of the categories whose probabilities are given, the normal one first; or none.

    Raises:
        ConfigError: there are none, or the only file cannot be read.
    """
    if not path.is_dir():
        if not path.exists():
            raise ConfigError(f"{path}: no such file or folder; check the path")
        return _in_file(path, path.stem, categories)
    found = []
    for file in _score_files(path):
        name = file.relative_to(path).with_suffix("").as_posix()
        try:
            found += _in_file(file, name, categories)
        except ConfigError as error:
            found.append(GivenScores(readable(name), file, 0, _raising(error)))
    if not found:
        raise ConfigError(f"{path}: holds no scores; expected {', '.join(SUFFIXES)}, a file a video")
    return found


def _score_files(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    return sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _in_file(path: Path, name: str, categories: Sequence[str]) -> list[GivenScores]:
    if path.suffix.lower() != TABLE:
        return [
            GivenScores(readable(name), path, len(read_values(path, categories)), lambda: read_values(path, categories))
        ]
    tables = read_table(path, categories)
    alone = list(tables) == [path.stem]
    return [
        GivenScores(name if alone else video, path, len(rows.indices), rows.values, rows.per)
        for video, rows in tables.items()
    ]


def read_values(path: Path, categories: Sequence[str]) -> np.ndarray:
    """Read the array of one file, (n, columns) float64.

    Args:
        path: the file.
        categories: names of the categories whose probabilities it has; without any, a single row is n scores.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    values = read_mat(path) if path.suffix.lower() == MAT else read_array(path, expected=EXPECTED)
    if values.ndim == 2 and values.shape[0] == 1 and not categories:
        values = values.T  # MATLAB keeps lists in rows
    if values.ndim not in (1, 2) or not values.size or values.dtype.kind not in "fiub":
        raise ConfigError(f"{path}: expected {EXPECTED}, got {values.dtype} {values.shape}")
    return values.reshape(len(values), -1).astype(np.float64)


def cut_apart(
    path: Path, categories: Sequence[str], names: Sequence[str], lengths: Sequence[int], per: str
) -> list[GivenScores]:
    """The scores of several videos, of which one file holds those of all, one after the other.

    Args:
        path: the file.
        categories: names of the categories whose probabilities are given; or none.
        names: the videos, in that order.
        lengths: how many scores each has.
        per: what each score stands for.

    Raises:
        ConfigError: the file cannot be read, or has another length.
    """
    values = read_values(path, categories)
    if len(values) != sum(lengths):
        raise ConfigError(
            f"{path}: holds {plural(len(values), 'score')}, the {plural(len(names), 'video')} of the list have "
            f"{sum(lengths)}"
        )
    ends = np.cumsum(lengths)
    parts = [values[end - length : end] for end, length in zip(ends, lengths, strict=True)]
    return [
        GivenScores(name, path, len(part), lambda part=part: part, per) for name, part in zip(names, parts, strict=True)
    ]


def _raising(error: ConfigError) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        raise error

    return read


def content_sha256(path: Path) -> str:
    """SHA-256 of a file, or over the names and contents of a folder's files of scores, hex.

    Raises:
        ConfigError: one of them cannot be read.
    """
    try:
        if not path.is_dir():
            return fingerprint(path)
        digest = hashlib.sha256()
        for file in _score_files(path):
            digest.update(os.fsencode(file.relative_to(path)) + b"\0" + fingerprint(file).encode())
        return digest.hexdigest()
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be read ({error.strerror}); give rights") from error
