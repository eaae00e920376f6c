"""Compares released features with features of the video made by a setting: reads the file, embeds, measures errors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..decode.reader import Reader
from ..embed.encoder import ClipEncoder
from ..recipe import SNIPPET_LEN
from ..records import VideoInfo
from ..store.arrays import read_crop
from .settings import Pixels, Setting, converted, snippet_frames

Tower = tuple[str, str]  # activation and precision
EQUAL_SHARE = 0.99  # share of values that must be equal; the others may be one float16 step apart


@dataclass(frozen=True, slots=True)
class Released:
    """A file of released features."""

    path: Path
    values: np.ndarray
    """(R, D) float32."""
    mean: np.ndarray
    """(D,): the mean of all rows."""
    is_float16: bool
    """Whether all values are float16 values, whatever type the file has."""

    @classmethod
    def read(cls, path: Path, width: int) -> Released:
        """Read a features file.

        Raises:
            ConfigError: the file does not hold (R, width) finite floats.
        """
        raw = read_crop(path, width)
        values = raw.astype(np.float32)
        return cls(path, values, values.mean(axis=0), bool((values.astype(np.float16) == raw).all()))

    def most_changing(self, n: int, end: int) -> tuple[int, ...]:
        """Pick up to `n` of the first `end` rows, in order: half of them evenly spread, half where the video changes
        most, since still rows cannot tell one frame from the next."""
        end = max(1, min(end, len(self.values)))
        even = np.unique(np.linspace(0, end - 1, min(end, (n + 1) // 2)).round().astype(int))
        change = np.linalg.norm(np.diff(self.values[:end], axis=0), axis=1)
        changing = [int(row) for row in np.argsort(-change, kind="stable") if row not in even]
        return tuple(sorted([*even.tolist(), *changing[: n - len(even)]]))

    def stillest(self, n: int, end: int) -> tuple[int, ...]:
        """Split the first `end` rows into up to `n` parts, and pick of each the row most like its neighbours."""
        end = max(1, min(end, len(self.values)))
        change = np.linalg.norm(np.diff(self.values[: end + 1], axis=0), axis=1)
        around = np.maximum(np.append(change, 0)[:end], np.append(0, change)[:end])
        return tuple(int(part[around[part].argmin()]) for part in np.array_split(np.arange(end), min(n, end)))


@dataclass(frozen=True, slots=True)
class Fit:
    """How well the features made by a setting agree with the released ones, on some rows."""

    setting: Setting
    error: float
    """Length of the difference divided by that of the released values less their mean: 0 for equal features, above 1
    for features that have nothing in common."""
    cosines: np.ndarray
    """Cosine of each row to the released one, after the released mean is taken off both."""
    equal: bool
    """Whether the values are the same in float16."""


class Probe:
    """Makes features of one video by any setting from frames in memory, and embeds each distinct picture once.

    Args:
        frames: frame number -> (H, W, 3) uint8 RGB.
        info: what is known of the video.
        encoder: the tower; its variants of another activation or precision are made when first used.
        on_images: called with how many pictures were embedded.
    """

    def __init__(
        self,
        frames: dict[int, np.ndarray],
        info: VideoInfo,
        encoder: ClipEncoder,
        *,
        on_images: Callable[[int], None] = lambda n: None,
    ):
        self.frames, self.info, self._on_images = frames, info, on_images
        self._encoders = {(encoder.activation, encoder.precision): encoder}
        self._shown: dict[int | None, np.ndarray] = {}
        self._pictures: dict[tuple[Pixels, int], tuple[Tower, bytes]] = {}
        self._embedded: dict[tuple[Tower, bytes], np.ndarray] = {}

    def shown(self, rate: int | None) -> np.ndarray:
        """The frame numbers that the video shows after conversion to a rate, see `converted`."""
        if rate not in self._shown:
            self._shown[rate] = converted(self.info.frame_seconds, rate)
        return self._shown[rate]

    def encoder(self, activation: str, precision: str) -> ClipEncoder:
        """The tower with this activation and precision."""
        if (activation, precision) not in self._encoders:
            given = next(iter(self._encoders.values()))
            other = given if given.activation == activation else given.with_other_activation()
            self._encoders[activation, precision] = other.with_precision(precision)
        return self._encoders[activation, precision]

    def frames_of(self, setting: Setting, row: int) -> np.ndarray:
        """Numbers of the frames that a row is made of."""
        return snippet_frames(setting, self.shown(setting.rate), row)

    def embed(self, wanted: Iterable[tuple[Pixels, int]]) -> None:
        """Embed frames with their pixel settings, in common batches; pictures embedded before are left out."""
        pending: dict[Tower, dict[bytes, torch.Tensor]] = {}
        resized: dict[tuple, torch.Tensor] = {}  # what many crops are cut from
        for pixels, number in wanted:
            if (pixels, number) in self._pictures:
                continue
            if (pixels.resizing, number) not in resized:
                resized[pixels.resizing, number] = pixels.resized(self.frames[number])
            picture = pixels.seen(resized[pixels.resizing, number])
            tower = (pixels.activation, pixels.precision)
            key = (tower, hashlib.blake2b(picture.numpy().tobytes(), digest_size=16).digest())
            self._pictures[pixels, number] = key
            if key not in self._embedded:
                pending.setdefault(tower, {})[key[1]] = picture
        for tower, pictures in pending.items():
            self._encode(tower, pictures)

    def around(self, pixels: Pixels, rate: int | None, rows: Sequence[int], n: int) -> np.ndarray | None:
        """Embeddings of `n` frames from each row's first on, (len(rows), n, D); None where the video ends before."""
        spans = [self.shown(rate)[row * SNIPPET_LEN :][:n] for row in rows]
        if any(len(span) < n for span in spans):
            return None
        self.embed((pixels, int(number)) for span in spans for number in span)
        return np.stack([self._embeddings(pixels, span) for span in spans])

    def rows(self, setting: Setting, rows: Sequence[int]) -> np.ndarray | None:
        """Make some rows by a setting, (len(rows), D) float32; None where the video has no such rows."""
        numbers = [self.frames_of(setting, row) for row in rows]
        if not all(map(len, numbers)):
            return None
        self.embed((setting.pixels, int(number)) for of_row in numbers for number in of_row)
        return np.stack([setting.combine(self._embeddings(setting.pixels, of_row)) for of_row in numbers])

    def has(self, setting: Setting, rows: Sequence[int]) -> bool:
        """Whether all pictures that these rows need are embedded already."""
        return all((setting.pixels, int(n)) in self._pictures for row in rows for n in self.frames_of(setting, row))

    def looks(self, setting: Setting, rows: Sequence[int]) -> tuple:
        """A key that is equal for settings that make the same of these rows, so that they cannot be told apart."""
        keys = [self._pictures[setting.pixels, int(n)] for row in rows for n in self.frames_of(setting, row)]
        return (*keys, setting.normalised if setting.frames_per_snippet > 1 else setting.normalised != "no")

    def fit(self, setting: Setting, released: Released, rows: Sequence[int]) -> Fit | None:
        """Compare the rows made by a setting with the released ones; None where the video has no such rows."""
        own = self.rows(setting, rows)
        return None if own is None else fit(setting, own, released, rows)

    def _embeddings(self, pixels: Pixels, numbers: np.ndarray) -> np.ndarray:
        return np.stack([self._embedded[self._pictures[pixels, int(number)]] for number in numbers])

    def _encode(self, tower: Tower, pictures: dict[bytes, torch.Tensor]) -> None:
        encoder, keys = self.encoder(*tower), list(pictures)
        for start in range(0, len(keys), encoder.batch_size):
            batch = keys[start : start + encoder.batch_size]
            embedded = encoder.encode(torch.stack([pictures[key] for key in batch]))
            self._embedded |= {(tower, key): row for key, row in zip(batch, embedded, strict=True)}
            self._on_images(len(batch))


def fit(setting: Setting, own: np.ndarray, released: Released, rows: Sequence[int]) -> Fit:
    """Compare rows (len(rows), D) made by a setting with the released ones; they are rounded as those are."""
    if released.is_float16:
        own = own.astype(np.float16).astype(np.float32)
    theirs = released.values[list(rows)]
    ours, around = own - released.mean, theirs - released.mean
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(around, axis=1)
    cosines = np.divide((ours * around).sum(axis=1), lengths, out=np.ones(len(own), np.float32), where=lengths > 0)
    return Fit(setting, distance(own, theirs, released, rows), cosines, _equal(own, theirs))


def _equal(own: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether rows are equal in float16, apart from a few values that are one step apart: the last bit of float32 can
    depend on a picture's place in its batch."""
    ours, others = own.astype(np.float16), theirs.astype(np.float16)
    near = abs(ours - others) <= np.maximum(abs(np.spacing(ours)), abs(np.spacing(others)))
    return bool(near.all() and (ours == others).mean() >= EQUAL_SHARE)


def distance(own: np.ndarray, others: np.ndarray, released: Released, rows: Sequence[int]) -> float:
    """Length of `own` - `others`, (len(rows), D) each, divided by that of the released rows less their mean."""
    theirs = released.values[list(rows)]
    spread = np.linalg.norm(theirs - released.mean) or np.linalg.norm(theirs)  # of a single row: from 0
    return float(np.linalg.norm(own - others) / spread)


def keep_frames(reader: Reader, numbers: set[int]) -> dict[int, np.ndarray]:
    """Decode a video and keep the frames of these numbers, (H, W, 3) uint8 RGB.

    Raises:
        VideoError: the video cannot be decoded.
    """
    last = max(numbers)
    kept = {}
    for number, frame in enumerate(reader):
        if number in numbers:
            kept[number] = frame.rgb()
        if number == last:
            break
    return kept
