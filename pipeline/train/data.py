"""Store + labels -> what is trained on, what is held out, and batches in an order that depends on the seed alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from vad_pipeline.extract.errors import ConfigError, StoreError
from vad_pipeline.extract.names import NameIndex
from vad_pipeline.extract.recipe import EMBEDDING_DIM
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry

if TYPE_CHECKING:
    import torch

    from vad_pipeline.model.losses import TrainingBatch

SPLIT_SEED = 0  # held-out videos are the same for every seed: seeds then differ in training alone
MIN_VIDEOS_TO_SPLIT = 4  # of a kind; with fewer, holding one out costs training more than it tells
NORMAL_COLUMNS = (0,)


@dataclass(frozen=True, slots=True)
class TrainingVideo:
    """A video with features and a label."""

    entry: Entry
    columns: tuple[int, ...]
    """The categories it shows, (0,) where it is normal."""

    @property
    def normal(self) -> bool:
        """Whether nothing happens in it."""
        return self.columns == NORMAL_COLUMNS


@dataclass(slots=True)
class Labelled:
    """Labels held against features."""

    videos: list[TrainingVideo] = field(default_factory=list)
    without_features: list[str] = field(default_factory=list)
    """Names of labels."""
    without_label: list[str] = field(default_factory=list)
    """Ids of features."""
    unusable: list[str] = field(default_factory=list)
    """One sentence each."""


def join_labels(entries: Sequence[Entry], labels: dict[str, tuple[int, ...]], *, known: set[str]) -> Labelled:
    """Match labels to features by the one rule for names.

    Args:
        entries: features of one recipe.
        labels: name -> columns.
        known: ids that need no label: they belong to another split.
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
            continue  # another way to write it, such as with the suffix of its file
        elif video in used:
            raise ConfigError(f"labels {used[video]} and {name} are both of the video {video}; keep one")
        else:
            used[video] = name
            found.videos.append(TrainingVideo(by_id[video], columns))
    found.without_label = [video for video in by_id if video not in used and video not in known]
    return found


def hold_out(videos: Sequence[TrainingVideo], share: float) -> tuple[list[TrainingVideo], list[TrainingVideo]]:
    """Split into training and held-out videos, each label by itself, the same way whatever the order.

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
    """Training rows: each held crop of a video is one, as in the published lists."""

    store: EmbeddingStore = field(repr=False)
    rows: tuple[tuple[Entry, int, tuple[int, ...]], ...] = field(repr=False)
    """Features, crop, label."""
    n_categories: int
    window_len: int
    batch_size: int
    """Rows of a step; of each kind where paired."""
    paired: bool
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Paired: whole batches of the shorter list. Mixed: the last batch may be smaller."""
        return min(self._loader_lengths()) if self.paired else self.loader_lengths

    @property
    def loader_lengths(self) -> int:
        """Batches of all loaders of an epoch, added."""
        return sum(self._loader_lengths())

    def _loader_lengths(self) -> list[int]:
        if self.paired:
            return [len(kind) // self.batch_size for kind in self._kinds()]
        return [-(-len(self.rows) // self.batch_size)]

    def _kinds(self) -> tuple[list[int], list[int]]:
        """Numbers of the normal rows, and of the others."""
        normal = [i for i, (_, _, columns) in enumerate(self.rows) if columns == NORMAL_COLUMNS]
        return normal, sorted(set(range(len(self.rows))) - set(normal))

    def batches(self, epoch: int, skip: int, device: torch.device) -> Iterator[TrainingBatch]:
        """The batches of an epoch, its first `skip` left out; the next one is read while one is trained on."""
        order = self._order(epoch)[skip:]
        with ThreadPoolExecutor(1) as ahead:
            waiting = ahead.submit(self.load, order[0]) if order else None
            for following in [*order[1:], None]:
                batch = waiting.result()
                waiting = ahead.submit(self.load, following) if following is not None else None
                yield batch.to(device)

    def _order(self, epoch: int) -> list[list[int]]:
        """Row numbers of each batch."""
        rng = np.random.default_rng([self.seed, epoch])
        if not self.paired:
            order = rng.permutation(len(self.rows)).tolist()
            return [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        normal, anomalous = (rng.permutation(kind).tolist() for kind in self._kinds())
        starts = range(0, self.steps_per_epoch * self.batch_size, self.batch_size)
        return [normal[s : s + self.batch_size] + anomalous[s : s + self.batch_size] for s in starts]

    def load(self, numbers: Sequence[int]) -> TrainingBatch:
        """Read, pool and pad rows."""
        import torch

        from vad_pipeline.model.losses import TrainingBatch
        from vad_pipeline.model.windows import pool

        # memory of torch's own: how an array happens to be aligned must not change a bit
        features = torch.zeros(len(numbers), self.window_len, EMBEDDING_DIM)
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
    store: EmbeddingStore,
    crops: Sequence[int] | None,
    scored: int,
    *,
    on_video: Callable[[str], None] = lambda video: None,
) -> Labelled:
    """Read everything once: what is not to be trained on shows before hours are spent.

    Args:
        videos: to be trained on or held out.
        store: of their features.
        crops: of which a video must hold one; None: any.
        scored: the crop by which it may be judged.
        on_video: called with each id.
    """
    checked = Labelled()
    for video in videos:
        on_video(video.entry.video)
        try:
            problem = _problem(video.entry, store, crops, scored)
        except StoreError as error:
            problem = str(error)
        if problem:
            checked.unusable.append(f"{video.entry.video}: {problem}")
        else:
            checked.videos.append(video)
    return checked


def _problem(entry: Entry, store: EmbeddingStore, crops: Sequence[int] | None, scored: int) -> str | None:
    wanted = entry.crop_numbers if crops is None else [crop for crop in crops if crop in entry.crop_numbers]
    if not wanted:
        return f"holds crops {list(entry.crop_numbers)}, none of those asked for"
    for crop in sorted({*wanted, scored}):
        features = store.crop(entry, crop)
        if features.shape[1:] != (EMBEDDING_DIM,):
            return f"its features are {features.shape[1:]} wide where DSANet takes {EMBEDDING_DIM}; extract it again"
        if not np.isfinite(features).all():
            return f"its features of crop {crop} are not finite; extract it again with --force"
    return None


def data_fingerprint(videos: Sequence[TrainingVideo], crops: Sequence[int] | None) -> str:
    """SHA-256 over what is trained on: ids, checksums of features, labels, crops."""
    lines = sorted(f"{v.entry.video}\0{v.entry.checksum}\0{v.entry.recipe_id}\0{v.columns}\0{crops}" for v in videos)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
