"""One video file -> `VideoEmbeddings`. Decoding and encoding overlap; only a few frames are in memory at a time."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch

from ..decode.container import MAX_FRAME_PX
from ..decode.device_frame import DeviceFrame
from ..decode.reader import Frames, Reader
from ..device import stopping_where_the_device_fails
from ..errors import VideoDecodeError
from ..recipe import CLIP_PX, Polygon, Recipe
from ..records import VideoEmbeddings
from .encoder import ClipEncoder
from .geometry import crop_frames, crop_on_device, resized_size
from .sampling import sample_stream, snippet_seconds
from .still import StillScenes
from .zones import hidden

Item = TypeVar("Item")
Snippet = tuple[torch.Tensor, tuple[int, ...]]  # crops of its frames to embed, and the numbers of StillScenes.split
ROWS_PER_BLOCK = 4096  # snippets: 4 MB a crop where they are 512 wide
QUEUE_IMAGES = 64  # decoded crops that may wait for the encoder: 10 MB
NO_CROPS = torch.empty((0, 0, 3, CLIP_PX, CLIP_PX), dtype=torch.uint8)
MAX_WAITING = 4096  # snippets of a still scene that may wait for an embedding before the batch is full


@stopping_where_the_device_fails()
def embed_video(
    reader: Reader,
    *,
    video_id: str,
    recipe: Recipe,
    crops: Sequence[int],
    load_encoder: Callable[[], ClipEncoder],
) -> VideoEmbeddings:
    """Decode, sample, crop and embed one video.

    Args:
        reader: reader of the video file, not read from yet; it is closed at the end.
        video_id: the video's id.
        recipe: how to embed; its weights must be the encoder's.
        crops: numbers of the crops.
        load_encoder: gives the encoder, and may take seconds to load it: decoding has begun by then.

    Raises:
        VideoError: the file cannot be decoded or trusted.
        DeviceFailed: the GPU is out of memory or gone.
    """
    timer = _Timer()
    scenes = StillScenes(recipe.still_bound)
    snippets = timer.timed(snippet_crops(reader, recipe, crops, scenes, recipe.zones_of(video_id)))
    ready = Prefetched(snippets, depth=max(1, QUEUE_IMAGES // (recipe.frames_per_snippet * len(crops))))
    try:
        ready.begin()
        encoder = load_encoder()
        encoded_before = encoder.seconds
        embeddings = _embed_snippets(ready, (len(crops), recipe.width), encoder)
        info = reader.info()
    finally:
        ready.end()
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
        still_share=scenes.share,
    )


def snippet_crops(
    reader: Frames, recipe: Recipe, crops: Sequence[int], scenes: StillScenes, zones: Sequence[Polygon]
) -> Iterator[Snippet]:
    """For each snippet crops of its k frames to embed, (k, crops, 3, px, px) uint8, and the numbers of `split`."""
    for frames in sample_stream(reader, recipe):
        on_device = isinstance(frames[0], DeviceFrame)
        pixels = [hidden(frame.on_device() if on_device else frame.rgb(), zones) for frame in frames]
        for height, width, _ in {tuple(picture.shape) for picture in pixels}:
            if math.prod(resized_size(recipe.geometry, height, width, px=recipe.image_px)) > MAX_FRAME_PX:
                reason = f"frames of {width}x{height} px are too long and thin to resize; use --geometry vadclip"
                raise VideoDecodeError(reader.path, "too_large", reason)
        new, counts = scenes.split(pixels)
        crop = crop_on_device if on_device else crop_frames
        yield crop(new, recipe.geometry, crops, px=recipe.image_px) if new else NO_CROPS, counts


def _embed_snippets(snippets: Iterable[Snippet], shape: tuple[int, int], encoder: ClipEncoder) -> np.ndarray:
    """Mean embedding of each snippet and crop, (crops, n, D) float16. Batches hold crops of several snippets.

    Args:
        snippets: what `snippet_crops` gives.
        shape: (crops, D).
        encoder: embeds.
    """
    means, batch = _Means(shape), _Batch(encoder)
    for frames, counts in snippets:
        means.expect(counts)
        for image in frames.flatten(0, 1):
            if batch.add(image):
                means.take_in(batch.encoded())
        if means.n_waiting >= MAX_WAITING:
            means.take_in(batch.encoded())
    means.take_in(batch.encoded())
    return means.result()  # empty without snippets: the reader's info() says why


def mean_of_snippet(
    counts: Sequence[int], rows: Iterable[np.ndarray], last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The mean embedding of a snippet's frames, and the embedding of the last one that was embedded.

    Args:
        counts: the numbers that `StillScenes.split` gave for it.
        rows: embeddings of the frames that were embedded, (crops, D) float32 each.
        last: the embedding of the last frame that was embedded before.
    """
    total = counts[0] * last
    for count, row in zip(counts[1:], rows, strict=True):
        total, last = total + count * row, row
    return total / sum(counts), last


class _Batch:
    """Collects crops for the encoder in one array, which is used again for each batch."""

    def __init__(self, encoder: ClipEncoder):
        self._encoder = encoder
        self._images = torch.empty(0)  # made with the first crop, where that lies
        self._n = 0

    def add(self, image: torch.Tensor) -> bool:
        """Put a crop (3, px, px) uint8 into the batch; say whether the batch is full now."""
        if not len(self._images):
            self._images = image.new_empty((self._encoder.batch_size, *image.shape))
        self._images[self._n] = image
        self._n += 1
        return self._n == len(self._images)

    def encoded(self) -> Iterable[np.ndarray]:
        """Embed the crops in the batch, each to (D,) float32, and empty the batch."""
        n, self._n = self._n, 0
        return self._encoder.encode(self._images[:n]) if n else ()


class _Means:
    """Averages the embeddings of each snippet's frames. Snippets come in order; their embeddings too, but later.

    Args:
        shape: (crops, D).
    """

    def __init__(self, shape: tuple[int, int]):
        self._finished = _Rows(shape)
        self._n_crops = shape[0]
        self._waiting: deque[tuple[int, ...]] = deque()
        self._ready: deque[np.ndarray] = deque()  # (D,), of snippets that lack others
        self._last = np.zeros(shape, np.float32)  # of the newest frame in a finished snippet

    @property
    def n_waiting(self) -> int:
        """How many snippets still lack an embedding."""
        return len(self._waiting)

    def expect(self, counts: tuple[int, ...]) -> None:
        """Add the next snippet, by the numbers that `StillScenes.split` gave for it."""
        self._waiting.append(counts)
        self.take_in(())

    def take_in(self, rows: Iterable[np.ndarray]) -> None:
        """Add the next embeddings, (D,) float32 each: for each embedded frame those of its crops in turn."""
        self._ready.extend(rows)
        while self._waiting and len(self._ready) >= (len(self._waiting[0]) - 1) * self._n_crops:
            counts = self._waiting.popleft()
            rows = (np.stack([self._ready.popleft() for _ in range(self._n_crops)]) for _ in counts[1:])
            mean, self._last = mean_of_snippet(counts, rows, self._last)
            self._finished.append(mean)

    def result(self) -> np.ndarray:
        """The mean embeddings of all snippets, (crops, n, D) float16."""
        return self._finished.result()


class _Rows:
    """An array of (crops, D) rows that grows in blocks.

    As small arrays of their own the rows would lie scattered between the tower's large buffers, so that the memory
    between them could not be used again: that was measured to take 190 MB more for an hour of footage.

    Args:
        shape: (crops, D).
    """

    def __init__(self, shape: tuple[int, int]):
        self._shape = (ROWS_PER_BLOCK, *shape)
        self._blocks: list[np.ndarray] = []
        self._n = 0

    def append(self, row: np.ndarray) -> None:
        """Keep a (crops, D) row, as float16."""
        if self._n % ROWS_PER_BLOCK == 0:
            self._blocks.append(np.empty(self._shape, np.float16))
        self._blocks[-1][self._n % ROWS_PER_BLOCK] = row
        self._n += 1

    def result(self) -> np.ndarray:
        """All rows, (crops, n, D) float16."""
        rows = np.concatenate(self._blocks)[: self._n] if self._blocks else np.empty((0, *self._shape[1:]), np.float16)
        return np.ascontiguousarray(rows.transpose(1, 0, 2))


class _Timer:
    """Adds up the time an iterator takes to give its items."""

    def __init__(self):
        self.seconds = 0.0

    def timed(self, items: Iterator[Item]) -> Iterator[Item]:
        """Pass items on, and add up the time that each takes to come."""
        while True:
            started = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - started
            yield item


class Prefetched:
    """Makes the items of an iterator in a thread, ahead of their use. Can be iterated once.

    An error in the thread is raised where its item is asked for.

    Args:
        items: makes the items.
        depth: how many items are made ahead at most.
    """

    def __init__(self, items: Iterator[Item], *, depth: int):
        self._items = items
        self._queue: queue.Queue = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="decode", daemon=True)

    def begin(self) -> None:
        """Start the thread; iteration begins with what it has made by then."""
        self._thread.start()

    def end(self) -> None:
        """Stop the thread and wait until it has ended, even if interrupted: the file it reads can then be closed."""
        self._stop.set()
        interruption = None
        while self._thread.is_alive():
            try:
                self._thread.join()
            except BaseException as error:
                interruption = error
        if interruption:
            raise interruption

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
