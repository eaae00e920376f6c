"""All snippets of a store as one matrix on disk, so that a question to the archive is one matrix product.

The matrix is written once and then read through a memory map. For example two videos of 3 and 2 snippets:

    rows      0         1         2         3         4           each of length 1
    snippet   a, 0      a, 1      a, 2      b, 0      b, 1
    starts    0                             3                  5   video i has the rows starts[i] to starts[i + 1]
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import StoreError
from ..files import TEMPORARY_PREFIX, remove_partial
from ..recipe import Recipe
from .embedding_store import EmbeddingStore
from .entry import Entry

FOLDER = "search"
NORM_FLOOR = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class SnippetMatrix:
    """The embeddings of all snippets of several videos, one row each."""

    entries: tuple[Entry, ...]
    """The videos, in the order of their rows."""
    rows: np.ndarray = field(repr=False)
    """(N, D) float16, each row L2-normalised; a memory map."""
    starts: np.ndarray = field(repr=False)
    """(videos + 1,) int64: the first row of each video, and last N."""


def snippet_matrix(
    store: EmbeddingStore,
    entries: Sequence[Entry],
    crop: int,
    *,
    on_video: Callable[[str], None] = lambda video_id: None,
) -> SnippetMatrix:
    """Open the matrix of some features, which lies beside the shards; it is written first where the features are new.

    Args:
        store: where the features are.
        entries: the videos, at least one, all of one recipe and with the crop.
        crop: number of the crop.
        on_video: called with the id of each video that is read to write the matrix.

    Raises:
        StoreError: the features cannot be read, or the matrix cannot be written or is damaged.
    """
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(f"{entry.name} {entry.checksum}\n".encode())
    kind = f"{entries[0].recipe_id}-{crop}-"
    path = store.path / FOLDER / f"{kind}{digest.hexdigest()[:16]}.npy"
    starts = np.cumsum([0, *(entry.n_snippets for entry in entries)])
    shape = (int(starts[-1]), Recipe.from_json(entries[0].recipe).width)
    if not path.exists():
        _write(path, store, entries, crop, shape, on_video)
        for older in path.parent.glob(f"{kind}*.npy"):
            if older != path:  # a process that has it open can go on reading it
                older.unlink(missing_ok=True)
    rows = np.load(path, mmap_mode="c")  # copy on write: torch takes no array it must not write to
    if rows.shape != shape:
        raise StoreError(f"{path}: is not what was written; delete it, it is made anew")
    return SnippetMatrix(tuple(entries), rows, starts)


def _write(
    path: Path,
    store: EmbeddingStore,
    entries: Sequence[Entry],
    crop: int,
    shape: tuple[int, int],
    on_video: Callable[[str], None],
) -> None:
    """Write the matrix, video by video. Not through a memory map: there a full disk would crash the process."""
    aside = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(exist_ok=True)
        remove_partial(path.parent)
        with aside.open("wb") as file:
            head = {"descr": "<f2", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, head)
            for entry in entries:
                on_video(entry.video)
                features = store.crop(entry, crop)
                norms = np.maximum(np.linalg.norm(features, axis=1, keepdims=True), NORM_FLOOR)
                file.write((features / norms).astype("<f2").tobytes())
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise StoreError(f"{path.parent}: cannot be written ({error.strerror}); make space or give rights") from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
