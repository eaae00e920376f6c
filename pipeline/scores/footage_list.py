"""What scores are laid over: the videos of a feature store, or of a list of videos with their numbers of frames."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from vad_pipeline.extract.errors import ConfigError, quoted, shown
from vad_pipeline.extract.lists import NAME_COLUMNS, as_table, frame_rate, read_rows, split_at_blanks, whole_number
from vad_pipeline.extract.names import is_plain_id, reading_form, slashed, strip_suffix
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.extract.store.stored import read_entry, stored_times

FRAMES, FPS = "frames", "fps"
MOST_FRAMES = 1 << 32  # of a video: two years and more
EXAMPLE = "rows `video,frames` or `video,frames,fps`"


@dataclass(frozen=True, slots=True)
class ScoredFootage:
    """One video that scores can be laid over."""

    video: str
    """Its id."""
    n_frames: int
    fps: Fraction
    """Average frame rate, frames/s; of an `entry` the store's own counts."""
    entry: Entry | None = None
    """Its features in the store, which know when each frame is shown; None: frames are evenly spaced."""

    def times(self, shards: Path | None) -> tuple[np.ndarray, Fraction]:
        """When each frame is shown, (F,) float64 seconds, and the average rate.

        Args:
            shards: the folder of the store's shards, where there is an `entry`.

        Raises:
            DamagedShard, GoneFromStore: the store's copy cannot be read.
            StoreError: the disk cannot be read.
        """
        if self.entry is None:
            return np.arange(self.n_frames) / float(self.fps), self.fps
        return read_entry(shards, self.entry, stored_times)


def footage_of_store(store: EmbeddingStore) -> list[ScoredFootage]:
    """The videos of a store, each once whatever the recipes.

    Raises:
        ConfigError: it holds none.
    """
    found: dict[str, ScoredFootage] = {}
    for entry in sorted(store.entries(), key=lambda entry: entry.written_ns):
        found[entry.video] = ScoredFootage(entry.video, entry.n_frames, Fraction(1), entry)
    if not found:
        raise ConfigError(f"{store.path}: holds no videos; `vad-pipeline extract` or `store import` first")
    return sorted(found.values(), key=lambda each: each.video)


def footage_of_list(path: Path, fps: Fraction) -> list[ScoredFootage]:
    """The videos of a list `video,frames[,fps]`, in its order; where the columns have no names they stand like this.

    Args:
        path: the list.
        fps: the frame rate of videos for which the list has none.

    Raises:
        ConfigError: the list cannot be read, a number in it cannot be used, or a video is there twice.
    """
    found: dict[str, ScoredFootage] = {}
    for where, name, frames, rate in _list_rows(path):
        try:
            n_frames = whole_number(frames, least=1, most=MOST_FRAMES)
            own_fps = frame_rate(rate) if rate else fps
        except ValueError as error:
            raise ConfigError(f"{where}: {error}; expected {EXAMPLE}") from error
        video_id = strip_suffix(reading_form(slashed(name)))
        if not is_plain_id(video_id):
            raise ConfigError(f"{where}: {quoted(name)} cannot be a video's id; expected {EXAMPLE}")
        if video_id in found:
            raise ConfigError(f"{where}: {shown(name)} is there twice; keep one row")
        found[video_id] = ScoredFootage(video_id, n_frames, own_fps)
    return list(found.values())


def _list_rows(path: Path) -> list[tuple[str, str, str, str]]:
    """Where each row stands, and its name, frames and rate, as text."""
    rows = read_rows(path)
    rows = split_at_blanks(rows, any_names=True) or rows
    columns = [cell.lower() for cell in rows[0].cells]
    name = next((column for column in NAME_COLUMNS if column in columns), None)
    if name and FRAMES in columns:
        _, records = as_table(path, rows, once=(name, FRAMES, FPS))
        cells = [(each.where, *(each.cells.get(column, "") for column in (name, FRAMES, FPS))) for each in records]
        unknown = set(columns) - {name, FRAMES, FPS}
        if unknown:
            raise ConfigError(f"{path}: the column {quoted(min(unknown))} is not known here; expected {EXAMPLE}")
        return cells
    for row in rows:
        if not 2 <= len(row.cells) <= 3:
            raise ConfigError(f"{path}, line {row.line}: expected {EXAMPLE}, got {shown(','.join(row.cells))}")
    return [(f"{path}, line {row.line}", *row.cells, *[""] * (3 - len(row.cells))) for row in rows]
