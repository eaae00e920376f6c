"""Matches labels to stored features, holds videos out, and makes batches in an order that depends only on the seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from vad_pipeline.extract.errors import ConfigError, DamagedShard, GoneFromStore
from vad_pipeline.extract.names import NameIndex
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry

if TYPE_CHECKING:
    import torch

    from vad_pipeline.model.learning.losses import TrainingBatch

SPLIT_SEED = 0  # fixed, so that runs of different seeds hold out the same videos
MIN_VIDEOS_TO_SPLIT = 4  # normal or anomalous videos needed to hold some out; fewer are all needed for training
NORMAL_COLUMNS = (0,)


@dataclass(frozen=True, slots=True)
class TrainingVideo:
    """A video with features and a label."""

    entry: Entry
    columns: tuple[int, ...]
    """Positions of the categories that the video shows; (0,) for a normal video."""

    @property
    def normal(self) -> bool:
        """Whether the video is labelled as normal."""
        return self.columns == NORMAL_COLUMNS


@dataclass(slots=True)
class Labelled:
    """Labels matched to features: the videos that have both, and the names that lack one of them."""

    videos: list[TrainingVideo] = field(default_factory=list)
    without_features: list[str] = field(default_factory=list)
    """Labelled names that match no features."""
    without_label: list[str] = field(default_factory=list)
    """Ids of videos that have features and no label."""
    unusable: list[str] = field(default_factory=list)
    """A sentence for each video whose features cannot be trained on."""


def join_labels(entries: Sequence[Entry], labels: dict[str, tuple[int, ...]], *, known: set[str]) -> Labelled:
    """Match labels to features by the rule for names that holds in every list.

    Args:
        entries: features of one recipe.
        labels: name -> positions of categories.
        known: ids that need no label, as they are in another split.
    """
    found = Labelled()
    by_id = {entry.video: entry for entry in entries}
    videos = NameIndex(by_id).find_all(labels)
    used: dict[str, str] = {}
    for name, columns in labels.items():
        video = videos[name]
        if video is None:
            found.without_features.append(name)
        elif video in used and columns == labels[used[video]]:
            continue  # the same video under another name, such as with its file's suffix
        elif video in used:
            raise ConfigError(f"labels {used[video]} and {name} are both of the video {video}; keep one")
        else:
            used[video] = name
            found.videos.append(TrainingVideo(by_id[video], columns))
    found.without_label = [video for video in by_id if video not in used and video not in known]
    return found


def hold_out(videos: Sequence[TrainingVideo], share: float) -> tuple[list[TrainingVideo], list[TrainingVideo]]:
    """Split into training and held-out videos, separately for each label; the order of the videos does not matter.

    Both kinds are held out, at least one video each where there are enough, or nothing is.

    Returns:
        Training videos, held-out videos.
    """
    rng = np.random.default_rng(SPLIT_SEED)
    strata: dict[tuple[int, ...], list[TrainingVideo]] = {}
    for video in sorted(videos, key=lambda video: (video.columns, video.entry.video)):
        strata.setdefault(video.columns, []).append(video)
    held: list[TrainingVideo] = []
    for members in strata.values():
        chosen = rng.permutation(len(members))[: round(share * len(members))]
        held += [members[i] for i in chosen]
    for kind in (True, False):
        of_kind = [video for video in videos if video.normal == kind]
        if share > 0 and not any(video.normal == kind for video in held) and len(of_kind) >= MIN_VIDEOS_TO_SPLIT:
            largest = max(
                (members for members in strata.values() if members[0].normal == kind), key=lambda members: len(members)
            )
            held.append(largest[0])
    if len({video.normal for video in held}) < 2:
        return list(videos), []
    ids = {video.entry.video for video in held}
    return [video for video in videos if video.entry.video not in ids], held


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows that are trained on: each crop of each video is a row, as in the published lists."""

    store: EmbeddingStore = field(repr=False)
    rows: tuple[tuple[Entry, int, tuple[int, ...]], ...] = field(repr=False)
    """One row each: the video's features, the crop's number, the positions of its categories."""
    n_categories: int
    window_len: int
    width: int
    """D: length of an embedding."""
    batch_size: int
    """Rows of a step; with `paired`, so many normal ones and as many anomalous ones."""
    paired: bool
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch. With `paired`, whole batches of the shorter list; else the last batch may be smaller."""
        return min(self._loader_lengths()) if self.paired else self.loader_lengths

    @property
    def loader_lengths(self) -> int:
        """The number of batches in an epoch, added over the lists (normal and anomalous, or one)."""
        return sum(self._loader_lengths())

    def _loader_lengths(self) -> list[int]:
        if self.paired:
            return [len(kind) // self.batch_size for kind in self._kinds()]
        return [-(-len(self.rows) // self.batch_size)]

    def _kinds(self) -> tuple[list[int], list[int]]:
        """The numbers of the normal rows, and those of the anomalous rows."""
        normal = [i for i, (_, _, columns) in enumerate(self.rows) if columns == NORMAL_COLUMNS]
        return normal, sorted(set(range(len(self.rows))) - set(normal))

    def batches(self, epoch: int, skip: int, device: torch.device) -> Iterator[TrainingBatch]:
        """Yield the batches of an epoch without its first `skip`; while one is trained on, the next is being read."""
        order = self._order(epoch)[skip:]
        with ThreadPoolExecutor(1) as ahead:
            waiting = ahead.submit(self.load, order[0]) if order else None
            for following in [*order[1:], None]:
                batch = waiting.result()
                waiting = ahead.submit(self.load, following) if following is not None else None
                yield batch.to(device)

    def _order(self, epoch: int) -> list[list[int]]:
        """The row numbers of each batch of an epoch."""
        rng = np.random.default_rng([self.seed, epoch])
        if not self.paired:
            order = rng.permutation(len(self.rows)).tolist()
            return [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        normal, anomalous = (rng.permutation(kind).tolist() for kind in self._kinds())
        starts = range(0, self.steps_per_epoch * self.batch_size, self.batch_size)
        return [normal[s : s + self.batch_size] + anomalous[s : s + self.batch_size] for s in starts]

    def load(self, numbers: Sequence[int]) -> TrainingBatch:
        """Read rows from the store and pool or pad each to the window length."""
        import torch

        from vad_pipeline.model.learning.losses import TrainingBatch
        from vad_pipeline.model.windows import pool

        # memory of torch's own: how an array happens to be aligned must not change a bit
        features = torch.zeros(len(numbers), self.window_len, self.width)
        lengths = torch.zeros(len(numbers), dtype=torch.int64)
        labels = torch.zeros(len(numbers), self.n_categories)
        for i, number in enumerate(numbers):
            entry, crop, columns = self.rows[number]
            snippets = pool(self.store.crop(entry, crop), window_len=self.window_len)
            features[i, : len(snippets)] = torch.from_numpy(snippets)
            lengths[i] = len(snippets)
            labels[i, list(columns)] = 1
        return TrainingBatch(features, lengths, labels)


def check_features(
    videos: Sequence[TrainingVideo],
    store: EmbeddingStore | None,
    crops: Sequence[int] | None,
    scored: int,
    *,
    on_video: Callable[[str], None] = lambda video: None,
) -> Labelled:
    """Read all features once, so that those that cannot be trained on are found before hours are spent.

    Args:
        videos: the videos to be trained on or held out.
        store: the store of their features; None: nothing is read, only which crops there are is looked at.
        crops: the crops to train on, of which a video must have one; None: any.
        scored: the crop that held-out videos are scored by.
        on_video: called with each id.

    Returns:
        The usable videos, and a sentence for each other one.

    Raises:
        StoreError: the disk cannot be read.
    """
    checked = Labelled()
    for video in videos:
        on_video(video.entry.video)
        try:
            problem = _problem(video.entry, store, crops, scored)
        except (DamagedShard, GoneFromStore) as error:
            problem = str(error)
        if problem:
            checked.unusable.append(f"{video.entry.video}: {problem}")
        else:
            checked.videos.append(video)
    return checked


def _problem(entry: Entry, store: EmbeddingStore | None, crops: Sequence[int] | None, scored: int) -> str | None:
    wanted = entry.crop_numbers if crops is None else [crop for crop in crops if crop in entry.crop_numbers]
    if not wanted:
        return f"holds crops {list(entry.crop_numbers)}, none of those asked for"
    if scored not in entry.crop_numbers:
        return f"lacks crop {scored} (held: {entry.crop_numbers}); extract it"
    for crop in sorted({*wanted, scored}) if store else ():
        features = store.crop(entry, crop)
        if not np.isfinite(features).all():
            return f"its features of crop {crop} are not finite; extract it again with --force"
    return None


def data_fingerprint(videos: Sequence[TrainingVideo], crops: Sequence[int] | None) -> str:
    """SHA-256 over all that is trained on: video ids, checksums of features, labels and crops."""
    lines = sorted(f"{v.entry.video}\0{v.entry.checksum}\0{v.entry.recipe_id}\0{v.columns}\0{crops}" for v in videos)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
