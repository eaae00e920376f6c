"""EmbeddingStore: the cache of embeddings for every later experiment.

A folder of complete HDF5 shards; what they hold is known from them alone. Each finished video is a small shard first,
`merge` joins small ones. There is one definition of a hit: same id, same recipe, the crops held, and the source file
unchanged (size and modification time, else its content).
"""

from __future__ import annotations

import io
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import h5py
import numpy as np

from .catalogue import DAMAGE, FILE_NAME, Catalogue, Entry, entry_of
from .errors import StoreError, VideoDecodeError
from .records import VideoEmbeddings
from .shards import (
    ROOT_GROUP,
    TEMPORARY_PREFIX,
    Group,
    build,
    group_name,
    merge_shards,
    new_path,
    opened,
    remove_partial,
    shard_paths,
    write_bytes,
)
from .source import SourceFile, content_of, readable
from .stored import StoredVideo, group_problem, stored_video

logger = logging.getLogger(__name__)

Read = TypeVar("Read")
STORE_SCHEMA = 1
IMPORTED_SIZE = -1  # bytes of the source of imported features: there is no video behind them
STALE_SECONDS = 24 * 3600  # half-written files older than this belong to nobody


class EmbeddingStore:
    """A feature store on disk.

    Args:
        path: its folder.
        create: make it where there is none.

    Raises:
        StoreError: not a store, of a newer schema, or not to be read or made.
    """

    def __init__(self, path: str | Path, *, create: bool = False):
        self.path = Path(path)
        self.shards = self.path / "shards"
        self.outcomes = self.path / "outcomes"
        marker = self.path / "store.json"
        if not marker.exists():
            if not create:
                raise StoreError(f"{self.path}: no feature store (no store.json); make one with `vad-pipeline extract`")
            self._refuse_foreign_folder(marker)
            head = {"schema": STORE_SCHEMA, "uuid": str(uuid.uuid4())}
            write_bytes(marker, json.dumps(head).encode())
        try:
            head = json.loads(marker.read_text())
            schema = int(head["schema"])
        except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
            raise StoreError(f"{marker}: cannot be read as a store's head ({error}); restore or delete it") from error
        if schema > STORE_SCHEMA:
            raise StoreError(f"{self.path}: store of schema {schema}, this version knows {STORE_SCHEMA}; upgrade")
        try:
            self.shards.mkdir(exist_ok=True)
        except OSError as error:
            if not self.shards.is_dir():
                raise StoreError(f"{self.shards}: cannot be made ({error.strerror})") from error
        self.catalogue = Catalogue(self.path / FILE_NAME, self.shards)
        self._lock = threading.Lock()
        self.problems = self.catalogue.sync()

    def _refuse_foreign_folder(self, marker: Path) -> None:
        """A folder with other things in it is not taken over; what another run has begun there does not count."""
        try:
            others = [p.name for p in self.path.iterdir() if not p.name.startswith(TEMPORARY_PREFIX)]
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be used as a store ({error.strerror}); give another") from error
        if set(others) - {"shards", "outcomes", FILE_NAME} and not marker.exists():
            raise StoreError(f"{self.path}: not a feature store and not empty; give --store a new folder")

    def close(self) -> None:
        """Close the catalogue."""
        self.catalogue.close()

    def __enter__(self) -> EmbeddingStore:
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()

    # -- looking up -----------------------------------------------------------------------------------------------

    def entries(self, *, recipe_id: str | None = None) -> list[Entry]:
        """All videos held, by id; of one recipe where one is named."""
        return self.catalogue.find(**({"recipe_id": recipe_id} if recipe_id else {}))

    def entry(self, video_id: str, recipe_id: str) -> Entry | None:
        """The newest features of a video under a recipe."""
        found = self.catalogue.find(name=group_name(video_id, recipe_id))
        return found[0] if found else None

    def unchanged(self, entry: Entry, source: SourceFile) -> bool:
        """Whether `source` is still what `entry` was made from: size and time, else the content."""
        if entry.size != source.size:
            return False
        if entry.mtime_ns == source.mtime_ns:
            return True
        if entry.fingerprint != content_of(source):
            return False
        self.catalogue.set_mtime(entry, source.mtime_ns)
        return True

    def hit(self, video_id: str, recipe_id: str, crops: Sequence[int], source: SourceFile) -> Entry | None:
        """The entry that makes decoding `source` needless, or None."""
        entry = self.entry(video_id, recipe_id)
        if entry and set(crops) <= set(entry.crop_numbers) and self.unchanged(entry, source):
            return entry
        return None

    def same_content(self, recipe_id: str, crops: Sequence[int], source: SourceFile) -> Entry | None:
        """An entry of another id made from a file of the same content, or None. Hashes only where a size matches."""
        if not self.catalogue.holds_size(source.size, recipe_id):
            return None
        same = self.catalogue.find(fingerprint=content_of(source), recipe_id=recipe_id)
        return next((entry for entry in same if set(crops) <= set(entry.crop_numbers)), None)

    def get(self, entry: Entry) -> StoredVideo:
        """Read one video's features.

        Raises:
            StoreError: its shard is gone or damaged.
        """
        return self._reading(entry, lambda node: stored_video(entry, node))

    def crop(self, entry: Entry, number: int) -> np.ndarray:
        """The features of one crop alone, (n, 512) float32: what training reads over and over.

        Raises:
            StoreError: its shard is gone or damaged, or it lacks the crop.
        """
        held = entry.crop_numbers
        if number not in held:
            raise StoreError(f"{self.path}: {entry.video} lacks crop {number} (held: {held}); extract it")
        return self._reading(entry, lambda node: node["features"][held.index(number)].astype(np.float32))

    def _reading(self, entry: Entry, read: Callable[[h5py.Group], Read]) -> Read:
        """What `read` makes of an entry's group, wherever that lies by now."""
        for attempt in range(2):
            try:
                with opened(self.shards / entry.shard) as root:
                    return read(root[entry.name])
            except FileNotFoundError:
                if attempt == 0:  # another run merged it away: it stands in a larger shard now
                    with self._lock:
                        self.catalogue.sync()
                        entry = self.entry(entry.video, entry.recipe_id) or entry
            except DAMAGE as error:
                raise StoreError(
                    f"{self.shards / entry.shard}: {entry.video} cannot be read ({error}); run `vad-pipeline store "
                    "verify`, move the shard away and extract again"
                ) from error
        raise StoreError(f"{self.shards / entry.shard}: gone while it was in use; run the same command again")

    # -- writing --------------------------------------------------------------------------------------------------

    def put(
        self, video: VideoEmbeddings, *, source: SourceFile, content: str, precision: str, runtime: str, label: str = ""
    ) -> Entry:
        """Add a video; once this returns, its data are in place.

        Args:
            video: what to keep, as float16.
            source: the file as it was before reading began (size -1: imported).
            content: its fingerprint.
            precision: of the encoder, for the record.
            runtime: likewise.
            label: a category, where known.

        Raises:
            StoreError: the disk is full or not to be written.
            VideoDecodeError: values that are not finite.
        """
        if not np.isfinite(video.embeddings).all():
            raise VideoDecodeError(source.path, "unexpected", "its embeddings are not finite; try --precision fp32")
        info = video.info
        attributes = {
            "video": video.video_id,
            "n_frames": video.n_frames,
            "fps": np.array([video.fps.numerator, video.fps.denominator], np.int64),
            "width": info.width if info else 0,
            "height": info.height if info else 0,
            "route": info.route if info else "imported",
            "snippet_len": video.recipe.snippet_len,
            "crops": np.array(video.crops, np.int64),
            "recipe": video.recipe.to_json(),
            "recipe_id": video.recipe.recipe_id,
            "precision": precision,
            "runtime": runtime,
            "source": readable(source.path),
            "size": source.size,
            "mtime_ns": source.mtime_ns,
            "fingerprint": content,
            "label": label,
            "written_ns": time.time_ns(),
            "seconds_assumed": info is None,
        }
        datasets = {
            "features": video.embeddings.astype(np.float16),
            "snippet_seconds": video.snippet_seconds.astype(np.float64),
            "frame_seconds": video.frame_seconds.astype(np.float64),
        }
        return self._add(Group(group_name(video.video_id, video.recipe.recipe_id), attributes, datasets))

    def copy_as(self, entry: Entry, video_id: str, source: SourceFile) -> Entry:
        """Hold the features of `entry` under another id too: the same content under another name."""
        attributes, datasets = self._reading(entry, lambda node: (dict(node.attrs), {n: node[n][()] for n in node}))
        attributes |= {
            "video": video_id,
            "source": readable(source.path),
            "size": source.size,
            "mtime_ns": source.mtime_ns,
            "written_ns": time.time_ns(),
        }
        return self._add(Group(group_name(video_id, entry.recipe_id), attributes, datasets))

    def _add(self, group: Group) -> Entry:
        data = build([group])
        path = new_path(self.shards)
        with h5py.File(io.BytesIO(data)) as file:
            entry = entry_of(group.name, path.name, file[ROOT_GROUP][group.name])
        write_bytes(path, data)
        try:
            self.catalogue.add(path, [entry])
        except FileNotFoundError:  # another run has merged it away already
            self.catalogue.sync()
        return entry

    # -- upkeep ---------------------------------------------------------------------------------------------------

    def merge(self, *, everything: bool = False) -> int:
        """Join small shards into larger ones and drop what is superseded in them.

        Args:
            everything: rewrite large shards too (`store compact`), not only small ones.

        Returns:
            How many shards were merged away.
        """
        remove_partial(self.shards, older_than_seconds=STALE_SECONDS, now=time.time())
        self.catalogue.sync()
        versions = self.catalogue.versions()  # one reading: another run may be writing
        sizes = self.catalogue.shards()
        newest = {name: shard for name, shard, _ in sorted(versions, key=lambda v: (v[2], v[1]))}
        rows: dict[str, list[str]] = {shard: [] for shard in sizes}
        superseded: set[str] = set()
        for name, shard, _ in versions:
            if newest[name] != shard:
                superseded.add(shard)
            elif shard in rows:
                rows[shard].append(name)
        seen = {shard for _, shard, _ in versions}
        sizes = {shard: size for shard, size in sizes.items() if shard in seen}
        merged = merge_shards(self.shards, sizes=sizes, keep=rows, superseded=superseded, everything=everything)
        self.catalogue.sync()
        return merged

    def verify(self) -> Iterator[tuple[str, str]]:
        """Read every data set of every shard.

        Yields:
            Name of a shard, what is wrong with it.
        """
        for path in shard_paths(self.shards):
            try:
                with opened(path) as root:
                    for name in root:
                        problem = group_problem(name, path.name, root[name])
                        if problem:
                            yield path.name, problem
            except (StoreError, OSError) as error:
                yield path.name, str(error)
