"""The SQLite index over a store's shards: what is held, without opening every file.

Deleting it loses nothing: `sync` reads the shards that it does not know and forgets those that are gone.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import h5py

from .errors import ConfigError, StoreError
from .names import is_plain_id
from .recipe import Recipe
from .shards import opened, shard_paths

logger = logging.getLogger(__name__)

FILE_NAME = "catalogue.sqlite"
LOCK_SECONDS = 60  # how long to wait for another process's write


@dataclass(frozen=True, slots=True)
class Entry:
    """One video's features under one recipe: what its group's attributes say."""

    name: str
    """Group name."""
    shard: str
    """File name below STORE/shards."""
    video: str
    """Video id."""
    recipe_id: str
    recipe: str
    """JSON."""
    crops: str
    """JSON list."""
    n_frames: int
    n_snippets: int
    size: int
    """Bytes of the source file, -1 where imported."""
    mtime_ns: int
    fingerprint: str
    precision: str
    runtime: str
    source: str
    """Path the features came from."""
    label: str
    """Where imported with one, else empty."""
    written_ns: int
    """When this group was made: of two under one name the later one counts."""
    checksum: str

    @property
    def crop_numbers(self) -> tuple[int, ...]:
        """The crops held, in the order of the features' first axis."""
        return tuple(json.loads(self.crops))


COLUMNS = tuple(f.name for f in fields(Entry))
NUMBERS = ("n_frames", "size", "mtime_ns", "written_ns")
# what reading a damaged or foreign group can raise
DAMAGE = (OSError, RuntimeError, KeyError, IndexError, ValueError, TypeError, AttributeError, ArithmeticError)
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS shards (name TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER);
CREATE TABLE IF NOT EXISTS videos ({", ".join(COLUMNS)}, PRIMARY KEY (name, shard));
CREATE INDEX IF NOT EXISTS videos_by_shard ON videos (shard);
CREATE INDEX IF NOT EXISTS videos_by_video ON videos (video);
CREATE INDEX IF NOT EXISTS videos_by_fingerprint ON videos (fingerprint);
CREATE INDEX IF NOT EXISTS videos_by_size ON videos (size);
"""
NEWEST = """SELECT v.* FROM videos v WHERE NOT EXISTS
  (SELECT 1 FROM videos w WHERE w.name = v.name AND (w.written_ns, w.shard) > (v.written_ns, v.shard))"""


def entry_of(name: str, shard: str, node: h5py.Group) -> Entry:
    """What a group says of itself.

    Raises:
        StoreError: an attribute is missing.
    """
    try:
        values = {column: node.attrs[column] for column in COLUMNS if column in node.attrs}
        crops = [int(crop) for crop in node.attrs["crops"]]
        n_crops, n_snippets, _ = node["features"].shape
        for column in NUMBERS:
            values[column] = int(values[column])
            if abs(values[column]) >= 2**63:
                raise ValueError(f"{column} is out of range")
        values |= {"name": name, "shard": shard, "n_snippets": int(n_snippets), "crops": json.dumps(crops)}
        wrong = [column for column in COLUMNS if column not in NUMBERS and not isinstance(values[column], str | int)]
        if wrong or n_crops != len(crops) or not is_plain_id(values["video"]):
            raise ValueError(f"{', '.join(wrong) or 'crops or id'} cannot be used")
        Recipe.from_json(values["recipe"])
        return Entry(**values)
    except (*DAMAGE, ConfigError) as error:
        raise StoreError(f"{shard}: group {name} is damaged ({error}); run `vad-pipeline store verify`") from error


class Catalogue:
    """Index of the shards in `folder`, kept in `path`."""

    def __init__(self, path: Path, folder: Path):
        self.path, self.folder = path, folder
        try:
            self._connect()
        except sqlite3.OperationalError as error:  # locked, full disk: the file itself may be in another run's hands
            raise StoreError(f"{path}: cannot be opened ({error}); run the same command again later") from error
        except sqlite3.DatabaseError:
            logger.warning("%s: damaged, rebuilt from the shards", path)
            for leftover in (path, path.with_name(f"{path.name}-journal")):
                leftover.unlink(missing_ok=True)
            self._connect()

    def _connect(self) -> None:
        try:
            # training reads ahead in a thread of its own; the store takes turns
            self._db = sqlite3.connect(self.path, timeout=LOCK_SECONDS, check_same_thread=False)
            known = tuple(row[1] for row in self._db.execute("PRAGMA table_info(videos)"))
            if known and known != COLUMNS:  # another version's index: it is only an index
                self._db.executescript("DROP TABLE shards; DROP TABLE videos;")
            self._db.executescript(SCHEMA)
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error) and "unable to open" not in str(error):
                raise
            self._use_memory()
        self._db.execute("SELECT count(*) FROM videos").fetchone()

    def _use_memory(self) -> None:
        """A store one may only read still has to be readable."""
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.executescript(SCHEMA)

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._db:
                yield self._db
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"{self.path}: cannot be written ({error}); make space or give rights, then go on"
            ) from error

    def sync(self) -> list[StoreError]:
        """Take in new shards, drop those that are gone or damaged.

        Returns:
            What could not be read: those shards' videos count as not held.
        """
        try:
            return self._sync()
        except StoreError as error:
            if "readonly" not in str(error) and "full" not in str(error):
                raise
            self._use_memory()
            return self._sync()

    def _sync(self) -> list[StoreError]:
        known = {name: (size, mtime) for name, size, mtime in self._db.execute("SELECT * FROM shards")}
        problems: list[StoreError] = []
        present: set[str] = set()
        rows: list[Entry] = []
        read: list[tuple[str, int, int]] = []  # entered into `shards`; those with damaged groups are read every time
        for path in shard_paths(self.folder):
            try:
                stat = path.stat()
                present.add(path.name)
                if known.get(path.name) == (stat.st_size, stat.st_mtime_ns):
                    continue
                found, damaged = self._read(path)
            except FileNotFoundError:  # merged away by another run meanwhile
                present.discard(path.name)
                continue
            except StoreError as error:
                problems.append(error)
                present.discard(path.name)  # it may have been whole when it was indexed
                continue
            rows += found
            problems += damaged
            if damaged:
                present.discard(path.name)
            else:
                read.append((path.name, stat.st_size, stat.st_mtime_ns))
        gone = [(name,) for name in known if name not in present]
        if rows or read or gone or problems:
            with self._write() as db:
                db.executemany("DELETE FROM shards WHERE name = ?", gone + [(r[0],) for r in read])
                db.executemany("INSERT INTO shards VALUES (?, ?, ?)", read)
                db.execute("DELETE FROM videos WHERE shard NOT IN (SELECT name FROM shards)")
                db.executemany("DELETE FROM videos WHERE shard = ?", [(r[0],) for r in read])
                self._insert(db, rows)
        return problems

    def add(self, path: Path, entries: list[Entry]) -> None:
        """Take in one shard just written."""
        stat = path.stat()
        with self._write() as db:
            self._insert(db, entries)
            db.execute("INSERT OR REPLACE INTO shards VALUES (?, ?, ?)", (path.name, stat.st_size, stat.st_mtime_ns))

    def set_mtime(self, entry: Entry, mtime_ns: int) -> None:
        """Remember that the source was touched but not changed, so that it is not hashed every time."""
        with self._write() as db:
            db.execute(
                "UPDATE videos SET mtime_ns = ? WHERE name = ? AND shard = ?", (mtime_ns, entry.name, entry.shard)
            )

    def find(self, **equal: object) -> list[Entry]:
        """The newest entry of each name whose columns have these values, by video id."""
        conditions = "".join(f" AND v.{column} = ?" for column in equal)
        query = f"{NEWEST}{conditions} ORDER BY v.video, v.recipe_id"
        try:
            return [Entry(*row) for row in self._db.execute(query, tuple(equal.values()))]
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise StoreError(f"{self.path}: damaged ({error}); delete it, it is rebuilt from the shards") from error

    def holds_size(self, size: int, recipe_id: str) -> bool:
        """Whether anything of a recipe was made from a file of this many bytes."""
        query = "SELECT 1 FROM videos WHERE size = ? AND recipe_id = ? LIMIT 1"
        return self._db.execute(query, (size, recipe_id)).fetchone() is not None

    def versions(self) -> list[tuple[str, str, int]]:
        """(name, shard, written_ns) of every row, superseded ones too."""
        return self._db.execute("SELECT name, shard, written_ns FROM videos ORDER BY shard, name").fetchall()

    def shards(self) -> dict[str, int]:
        """Size in bytes of each known shard."""
        return dict(self._db.execute("SELECT name, size FROM shards ORDER BY name"))

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _read(self, path: Path) -> tuple[list[Entry], list[StoreError]]:
        """A shard's whole groups, and what is wrong with the others."""
        entries, problems = [], []
        try:
            with opened(path) as root:
                for name in root:
                    try:
                        entries.append(entry_of(name, path.name, root[name]))
                    except StoreError as error:
                        problems.append(error)
        except FileNotFoundError:
            raise
        except DAMAGE as error:
            raise StoreError(f"{path}: damaged ({error}); run `vad-pipeline store verify`") from error
        return entries, problems

    @staticmethod
    def _insert(db: sqlite3.Connection, entries: list[Entry]) -> None:
        marks = ", ".join("?" * len(COLUMNS))
        db.executemany(
            f"INSERT OR REPLACE INTO videos VALUES ({marks})",
            [tuple(getattr(entry, column) for column in COLUMNS) for entry in entries],
        )
