"""One video file -> `VideoEmbeddings`: decoding and encoding overlap, memory does not grow with the pixels."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch

from .device_failure import stopping_where_the_device_fails
from .device_frame import DeviceFrame
from .encoder import ClipEncoder
from .errors import VideoDecodeError
from .geometry import crop_frames, crop_on_device, resized_size
from .reader import MAX_FRAME_PX, Reader
from .recipe import EMBEDDING_DIM, Recipe
from .records import VideoEmbeddings
from .sampling import sample_stream, snippet_seconds

Item = TypeVar("Item")
ROWS_PER_BLOCK = 4096  # snippets: 4 MB a crop
QUEUE_IMAGES = 64  # decoded crops that may wait for the encoder: 10 MB


@stopping_where_the_device_fails()
def embed_video(
    open_reader: Callable[[], Reader], *, video_id: str, recipe: Recipe, crops: Sequence[int], encoder: ClipEncoder
) -> VideoEmbeddings:
    """Decode, sample, crop and embed one video.

    Args:
        open_reader: opens the file; called once.
        video_id: its id.
        recipe: how; its weights must be the encoder's.
        crops: crop numbers.
        encoder: a loaded tower.

    Raises:
        VideoError: the file cannot be opened, decoded or trusted.
        DeviceFailed: the GPU is out of memory or gone.
    """
    reader = open_reader()
    timer = _Timer()
    encoded_before = encoder.seconds
    try:
        snippets = timer.timed(_snippet_crops(reader, recipe, crops))
        with prefetched(snippets, depth=max(1, QUEUE_IMAGES // (recipe.frames_per_snippet * len(crops)))) as ready:
            embeddings = _embed_snippets(ready, len(crops), encoder)
        info = reader.info()
    finally:
        reader.close()
    return VideoEmbeddings(
        video_id=video_id,
        embeddings=embeddings,
        crops=tuple(crops),
        snippet_seconds=snippet_seconds(info.frame_seconds, float(info.fps), recipe),
        frame_seconds=info.frame_seconds,
        fps=info.fps,
        recipe=recipe,
        info=info,
        stage_seconds={"decode": round(timer.seconds, 3), "encode": round(encoder.seconds - encoded_before, 3)},
    )


def _snippet_crops(reader: Reader, recipe: Recipe, crops: Sequence[int]) -> Iterator[torch.Tensor]:
    """(K, crops, 3, 224, 224) uint8 of each snippet in turn."""
    for frames in sample_stream(reader, recipe):
        on_device = isinstance(frames[0], DeviceFrame)
        pixels = [frame.on_device() if on_device else frame.rgb() for frame in frames]
        for height, width, _ in {tuple(picture.shape) for picture in pixels}:
            if math.prod(resized_size(recipe.geometry, height, width)) > MAX_FRAME_PX:
                reason = f"frames of {width}x{height} px are too long and thin to resize; use --geometry vadclip"
                raise VideoDecodeError(reader.path, "too_large", reason)
        yield (crop_on_device if on_device else crop_frames)(pixels, recipe.geometry, crops)


def _embed_snippets(snippets: Iterable[torch.Tensor], n_crops: int, encoder: ClipEncoder) -> np.ndarray:
    """Mean embedding of each snippet and crop, (crops, n, 512) float16, in full batches across crops and snippets."""
    finished = _Rows(n_crops)
    sums: dict[int, np.ndarray] = {}  # (crops, 512) float32 of those under way
    counts: dict[int, int] = {}
    batch = torch.empty(0)  # made with the first crops, where they lie
    owners: list[tuple[int, int]] = []  # snippet and crop of each image in the batch

    def flush() -> None:
        if owners:
            for (snippet, crop), row in zip(owners, encoder.encode(batch[: len(owners)]), strict=True):
                sums[snippet][crop] += row
            owners.clear()
            for snippet in [s for s in sums if s < newest]:  # all of its images have been through
                finished.append(sums.pop(snippet) / counts.pop(snippet))

    newest = 0  # images of this snippet may still come
    for snippet, frames in enumerate(snippets):
        if not len(batch):
            batch = frames.new_empty((encoder.batch_size, *frames.shape[2:]))
        newest = snippet
        sums[snippet] = np.zeros((n_crops, EMBEDDING_DIM), np.float32)
        counts[snippet] = len(frames)
        for frame in frames:
            for crop, image in enumerate(frame):
                batch[len(owners)] = image
                owners.append((snippet, crop))
                if len(owners) == len(batch):
                    flush()
    flush()
    for snippet in sums:
        finished.append(sums[snippet] / counts[snippet])
    return finished.result()  # empty without snippets: the reader's info() says why


class _Rows:
    """Grows an array of (crops, 512) rows in blocks.

    Rows of their own would be small and long-lived among the tower's large and short-lived buffers, and keep the
    memory between them from being used again: measured, 190 MB more for an hour of footage.
    """

    def __init__(self, n_crops: int):
        self._shape = (ROWS_PER_BLOCK, n_crops, EMBEDDING_DIM)
        self._blocks: list[np.ndarray] = []
        self._n = 0

    def append(self, row: np.ndarray) -> None:
        """Keep a (crops, 512) row, as float16."""
        if self._n % ROWS_PER_BLOCK == 0:
            self._blocks.append(np.empty(self._shape, np.float16))
        self._blocks[-1][self._n % ROWS_PER_BLOCK] = row
        self._n += 1

    def result(self) -> np.ndarray:
        """All rows, (crops, n, 512) float16."""
        rows = np.concatenate(self._blocks)[: self._n] if self._blocks else np.empty((0, *self._shape[1:]), np.float16)
        return np.ascontiguousarray(rows.transpose(1, 0, 2))


class _Timer:
    """Adds up the time an iterator takes to give its items."""

    def __init__(self):
        self.seconds = 0.0

    def timed(self, items: Iterator[Item]) -> Iterator[Item]:
        """The same items."""
        while True:
            started = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - started
            yield item


class prefetched:
    """`with prefetched(items, depth=N) as ready`: items are made in a thread, at most N ahead of who takes them.

    An error in the thread is raised where the item was due; leaving the block stops the thread.
    """

    def __init__(self, items: Iterator[Item], *, depth: int):
        self._items = items
        self._queue: queue.Queue = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="decode", daemon=True)

    def __enter__(self) -> Iterator[Item]:
        self._thread.start()
        return iter(self)

    def __exit__(self, *exc_info) -> None:
        self._stop.set()
        self._thread.join()

    def __iter__(self) -> Iterator[Item]:
        while True:
            kind, value = self._queue.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value

    def _fill(self) -> None:
        try:
            for item in self._items:
                if not self._put(("item", item)):
                    return
            self._put(("end", None))
        except Exception as error:
            self._put(("error", error))

    def _put(self, entry: tuple[str, object]) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
