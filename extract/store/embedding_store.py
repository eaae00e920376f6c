"""The feature store: keeps the embeddings of videos, so that each video is extracted only once.

A store is a folder of complete HDF5 shards; all that it knows can be read from them. Each finished video is a small
shard at first; `merge` joins small shards. Features need not be made again if they have the same id and recipe and all
crops asked for, and the source file is unchanged (its size and modification time, or else its content).
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import ConfigError, StoreBusy, StoreError
from ..files import TEMPORARY_PREFIX, SourceFile, read_versioned, write_if_absent
from ..records import VideoEmbeddings
from .catalogue import Catalogue
from .catalogue_place import catalogue_path, is_catalogue
from .entry import Entry
from .shards import group_name
from .stored import Origin, StoredVideo, read_entry, stored_video, write_video

STORE_SCHEMA = 1
COMPILED_EARLIER = "compiled"  # folder where earlier versions kept compiled towers; nothing reads it any more
INT8_TOWERS = "int8"  # folder for int8 towers calibrated on this store's footage; features of one depend on it
IMPORTED_SIZE = -1  # bytes of the source of imported features: there is no video behind them
BATCH_ENTRIES = 256  # new videos that the catalogue may lag behind the shards
BATCH_SECONDS = 2.0  # and for how long


class EmbeddingStore:
    """A feature store on disk.

    Args:
        path: the store's folder.
        create: whether to make a store where there is none.
        catalogue: path of the catalogue, for example on a local disk; None: beside the shards.

    Raises:
        ConfigError: there is no store at that path, or the folder holds something else.
        StoreError: the store has a newer schema, or cannot be read or made.
    """

    def __init__(self, path: str | Path, *, create: bool = False, catalogue: Path | None = None):
        self.path = Path(path)
        self.shards = self.path / "shards"
        self.outcomes = self.path / "outcomes"
        marker = self.path / "store.json"
        if not marker.exists():
            if not create:
                raise ConfigError(
                    f"{self.path}: no feature store (no store.json); check --store, or make one with "
                    "`vad-pipeline extract`"
                )
            self._refuse_foreign_folder(marker)
            head = {"schema": STORE_SCHEMA, "uuid": str(uuid.uuid4())}
            write_if_absent(marker, json.dumps(head).encode())
        head = read_versioned(marker, STORE_SCHEMA, what="store", advice="restore or delete it")
        try:
            self.shards.mkdir(exist_ok=True)
        except OSError as error:
            if not self.shards.is_dir():
                raise StoreError(f"{self.shards}: cannot be made ({error.strerror})") from error
        self.catalogue = Catalogue(
            catalogue or catalogue_path(self.path),
            self.shards,
            store_id=_id_in(head, marker),
            own=catalogue is None,
        )
        self._pending: dict[str, Entry] = {}
        """Written, and not in the catalogue yet: it takes them in batches."""
        self._touched: list[tuple[Entry, int]] = []
        self._flushed = time.monotonic()
        self.problems = self.catalogue.sync()

    def _refuse_foreign_folder(self, marker: Path) -> None:
        """A folder with other things in it is not taken over; what another run has begun there does not count."""
        try:
            others = [p.name for p in self.path.iterdir() if not p.name.startswith(TEMPORARY_PREFIX)]
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be used as a store ({error.strerror}); give another") from error
        others = {name for name in others if not is_catalogue(name)}
        if others - {"shards", "outcomes", "search", "damaged", COMPILED_EARLIER, INT8_TOWERS} and not marker.exists():
            raise ConfigError(f"{self.path}: not a feature store and not empty; give --store a new folder")

    def close(self) -> None:
        """Close the catalogue; entries that it could not take in are read from the shards next time."""
        try:
            with contextlib.suppress(StoreBusy):
                self.flush()
        finally:
            self.catalogue.close()

    def __enter__(self) -> EmbeddingStore:
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()

    # -- looking up -----------------------------------------------------------------------------------------------

    def entries(self, *, recipe_id: str | None = None) -> list[Entry]:
        """All entries of the store, sorted by video id, or those of one recipe."""
        self.flush()
        return self.catalogue.find(**({"recipe_id": recipe_id} if recipe_id else {}))

    def each(self) -> Iterator[Entry]:
        """All entries of the store, sorted by video id, one after the other."""
        self.flush()
        return self.catalogue.each()

    def entry(self, video_id: str, recipe_id: str) -> Entry | None:
        """The newest features of a video under a recipe."""
        return self.entries_of([video_id], recipe_id)[0]

    def entries_of(self, video_ids: Sequence[str], recipe_id: str) -> list[Entry | None]:
        """The newest features of each of several videos under a recipe, in their order; None for a video that has none.

        A few hundred ids at most, which go into one query.
        """
        names = [group_name(video_id, recipe_id) for video_id in video_ids]
        held = self.catalogue.newest(names) | {name: self._pending[name] for name in names if name in self._pending}
        return [held.get(name) for name in names]

    def of_size(self, size: int, recipe_id: str) -> list[Entry]:
        """The entries of a recipe whose source files have this many bytes, and so perhaps the same content."""
        pending = [e for e in self._pending.values() if (e.size, e.recipe_id) == (size, recipe_id)]
        names = {entry.name for entry in pending}
        return pending + [e for e in self.catalogue.find(size=size, recipe_id=recipe_id) if e.name not in names]

    def get(self, entry: Entry) -> StoredVideo:
        """Read one video's features.

        Raises:
            StoreError: its shard is gone or damaged.
        """
        return read_entry(self.shards, entry, partial(stored_video, entry))

    def crop(self, entry: Entry, number: int) -> np.ndarray:
        """Read the features of one crop, (n, D) float32.

        Raises:
            StoreError: the shard is gone or damaged, or the video lacks the crop.
        """
        held = entry.crop_numbers
        if number not in held:
            raise StoreError(f"{self.path}: {entry.video} lacks crop {number} (held: {held}); extract it")
        return read_entry(self.shards, entry, lambda node: node["features"][held.index(number)].astype(np.float32))

    # -- taking in ------------------------------------------------------------------------------------------------

    def put(
        self, video: VideoEmbeddings, *, source: SourceFile, content: str, precision: str, runtime: str, label: str = ""
    ) -> Entry:
        """Write a video (see `write_video`) and take it in, in place of what is held."""
        held = self.entry(video.video_id, video.recipe.recipe_id)
        origin = Origin(source, content, precision, runtime, label)
        entry = write_video(self.shards, video, origin, later_than=held.written_ns if held else 0)
        self.take_in(entry)
        return entry

    def take_in(self, entry: Entry) -> None:
        """Add the entry of a video that this process or a worker has written; the catalogue has it after `flush`."""
        self._pending[entry.name] = entry
        self._flush_now_and_then()

    def touch(self, entry: Entry, mtime_ns: int) -> None:
        """Note a new modification time (ns) of a source whose content is unchanged, so that it is not hashed again."""
        self._touched.append((entry, mtime_ns))
        self._flush_now_and_then()

    def _flush_now_and_then(self) -> None:
        waiting = len(self._pending) + len(self._touched)
        if waiting >= BATCH_ENTRIES or time.monotonic() - self._flushed >= BATCH_SECONDS:
            with contextlib.suppress(StoreBusy):  # it can wait: the shards are in place
                self.flush()
            self._flushed = time.monotonic()

    def flush(self) -> None:
        """Write the entries taken in so far to the catalogue.

        Raises:
            StoreError: the catalogue cannot be written.
        """
        self.catalogue.add(list(self._pending.values()), touched=self._touched)
        self._pending, self._touched, self._flushed = {}, [], time.monotonic()


def _id_in(head: dict, marker: Path) -> str:
    """The store's id in its store.json; the first stores had none."""
    store_id = head.get("uuid", "")
    try:
        store_id.encode()  # no halves of characters, which the catalogue could not hold
    except (AttributeError, UnicodeEncodeError) as error:
        raise StoreError(f"{marker}: is damaged (`uuid` is no text); restore or delete it") from error
    return store_id
