"""The catalogue: an SQLite index of a store's shards, which tells what they hold without opening each of them.

Deleting it loses nothing: `sync` reads the shards that the catalogue does not know and forgets those that are gone. On
a network disk, where SQLite's locks cannot be trusted, every host has a catalogue of its own.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import ConfigError, DamagedShard, StoreBusy, StoreError
from .entry import COLUMNS, DAMAGE, Entry, entry_of
from .shards import each_shard, group_in, opened, refuse_unreadable
from .versions import W_IS_NEWER_THAN_V, Version

logger = logging.getLogger(__name__)

APPLICATION_ID = 0x56414463  # in the header of our SQLite files
APPLICATION_ID_END = 72  # byte in that header
ROWS_AT_ONCE = 1000
LOCK_SECONDS = 60  # how long to wait for another process's write
TABLES = ("shards", "videos", "store")
SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
CREATE TABLE store (id TEXT);
CREATE TABLE shards (name TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER);
CREATE TABLE videos ({", ".join(COLUMNS)}, PRIMARY KEY (name, shard));
CREATE INDEX videos_by_shard ON videos (shard);
CREATE INDEX videos_by_video ON videos (video);
CREATE INDEX videos_by_fingerprint ON videos (fingerprint);
CREATE INDEX videos_by_size ON videos (size);
"""
NEWER = f"(SELECT 1 FROM videos w WHERE w.name = v.name AND {W_IS_NEWER_THAN_V})"
NEWEST = f"SELECT v.* FROM videos v WHERE NOT EXISTS {NEWER}"


class Catalogue:
    """An index of the shards in a folder.

    Args:
        path: the SQLite file.
        folder: the folder of shards.
        store_id: id of the store; a catalogue of another store is not used.
        own: whether `path` is in the store's folder, where no other file has that name; otherwise the user chose it.

    Raises:
        ConfigError: `path` is no catalogue, or that of another store, or cannot be made.
        StoreError: the catalogue is locked, or the disk is full.
    """

    def __init__(self, path: Path, folder: Path, *, store_id: str = "", own: bool = True):
        self.path, self.folder, self._store_id, self._own = path, folder, store_id, own
        if not own:
            self._refuse_foreign_file()
        try:
            self._connect()
        except sqlite3.OperationalError as error:  # locked, full disk: the file itself may be in another run's hands
            raise self._told(error) from error
        except sqlite3.DatabaseError:
            self._begin_anew()

    def _refuse_foreign_file(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("rb") as file:
                head = file.read(APPLICATION_ID_END)
        except FileNotFoundError:
            return
        except OSError as error:
            why = error.strerror
            raise ConfigError(f"--catalogue {self.path}: cannot be used ({why}); give another file") from error
        if head and int.from_bytes(head[APPLICATION_ID_END - 4 :]) != APPLICATION_ID:
            raise ConfigError(f"--catalogue {self.path}: is no catalogue of vad-pipeline; give another file")

    def _begin_anew(self) -> None:
        """Replace a damaged catalogue by an empty one, which `sync` fills."""
        logger.warning("%s: damaged, rebuilt from the shards", self.path)
        try:
            for leftover in (self.path, self.path.with_name(f"{self.path.name}-journal")):
                leftover.unlink(missing_ok=True)
        except OSError:  # a disk one may only read
            self._use_memory()
            return
        self._connect()

    def _connect(self) -> None:
        try:
            self._db = sqlite3.connect(self.path, timeout=LOCK_SECONDS)
            if not self._is_ours():
                self._make()
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error) and "unable to open" not in str(error):
                raise
            if not self._own:
                raise ConfigError(f"--catalogue {self.path}: cannot be used ({error}); give another file") from error
            self._use_memory()
        self._db.execute("SELECT * FROM videos LIMIT 1").fetchone()

    def _is_ours(self) -> bool:
        """Whether the file has the tables of this version, and is the catalogue of this store."""
        if tuple(row[1] for row in self._db.execute("PRAGMA table_info(videos)")) != COLUMNS:
            return False
        try:
            of = [store for (store,) in self._db.execute("SELECT id FROM store")]
        except sqlite3.OperationalError:  # an index of before
            return False
        if of != [self._store_id] and not self._own:
            raise ConfigError(f"--catalogue {self.path}: is that of another store; give each store a file of its own")
        return of == [self._store_id]

    def _make(self) -> None:
        """Make empty tables, in one transaction, as several runs may begin on a new store at once."""
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            if not self._is_ours():  # nobody else has made them meanwhile
                for table in TABLES:  # it is only an index
                    self._db.execute(f"DROP TABLE IF EXISTS {table}")
                self._create()

    def _create(self) -> None:
        for statement in SCHEMA.split(";"):
            self._db.execute(statement)
        self._db.execute("INSERT INTO store VALUES (?)", (self._store_id,))

    def _use_memory(self) -> None:
        """Keep the catalogue in memory, so that a store without rights to write can still be read."""
        self._db = sqlite3.connect(":memory:")
        self._create()

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._errors_told(), self._db:
            yield self._db

    @contextlib.contextmanager
    def _errors_told(self) -> Iterator[None]:
        """Turn SQLite's errors in a `with` block into a StoreError."""
        try:
            yield
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise self._told(error) from error

    def _told(self, error: Exception) -> StoreError:
        if not isinstance(error, sqlite3.OperationalError):
            return StoreError(f"{self.path}: damaged ({error}); run again, it is rebuilt from the shards")
        if "locked" in str(error) or "busy" in str(error):
            return StoreBusy(f"{self.path}: another command is using it ({error}); run this one again later")
        return StoreError(f"{self.path}: cannot be used ({error}); make space or give rights, then go on")

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[tuple]:
        with self._errors_told():
            return self._db.execute(query, values).fetchall()

    def sync(self) -> list[StoreError]:
        """Bring the catalogue up to date: add new shards, forget those that are gone or damaged.

        Returns:
            An error for each damage found; damaged features count as not stored.

        Raises:
            StoreError: a shard cannot be read, but not because it is damaged, or the catalogue cannot be written.
        """
        try:
            return self._sync()
        except sqlite3.OperationalError as error:
            raise self._told(error) from error
        except (sqlite3.DatabaseError, UnicodeDecodeError):  # rows that were whole when it was opened
            with self._errors_told():
                self._begin_anew()
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
        read: dict[str, tuple[int, int]] = {}  # entered into `shards`; those with damaged groups are read every time
        for path in each_shard(self.folder):
            try:
                stat = path.stat()
                present.add(path.name)
                if known.get(path.name) == (stat.st_size, stat.st_mtime_ns):
                    continue
                found, damaged = self._read(path)
            except FileNotFoundError:  # merged away by another run meanwhile
                present.discard(path.name)
                continue
            except DamagedShard as error:
                problems.append(error)
                present.discard(path.name)  # it may have been whole when it was indexed
                continue
            rows += found
            problems += damaged
            if damaged:
                present.discard(path.name)
            else:
                read[path.name] = (stat.st_size, stat.st_mtime_ns)
        gone = [(name,) for name in known if name not in present]
        if rows or read or gone or problems:
            touched = [replace(row, mtime_ns=self._known_mtime(row)) for row in rows]
            with self._write() as db:
                db.executemany("DELETE FROM shards WHERE name = ?", gone + [(name,) for name in read])
                db.executemany("INSERT INTO shards VALUES (?, ?, ?)", [(name, *state) for name, state in read.items()])
                db.execute("DELETE FROM videos WHERE shard NOT IN (SELECT name FROM shards)")
                db.executemany("DELETE FROM videos WHERE shard = ?", [(name,) for name in read])
                self._insert(db, touched)
        return problems

    def _known_mtime(self, row: Entry) -> int:
        """The newest known modification time of an entry's source, which the catalogue may have and the shard not."""
        query = "SELECT max(mtime_ns) FROM videos WHERE name = ? AND written_ns = ?"
        ((mtime_ns,),) = self._db.execute(query, (row.name, row.written_ns))
        return row.mtime_ns if mtime_ns is None else mtime_ns

    def add(self, entries: list[Entry], *, touched: Sequence[tuple[Entry, int]] = ()) -> None:
        """Add shards just written, of one entry each, and new times (ns) of sources whose content is unchanged."""
        written = []
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # merged away by another run already: `sync` finds it
                stat = (self.folder / entry.shard).stat()
                written.append((entry, (entry.shard, stat.st_size, stat.st_mtime_ns)))
        if not written and not touched:
            return
        with self._write() as db:
            self._insert(db, [entry for entry, _ in written])
            db.executemany("INSERT OR REPLACE INTO shards VALUES (?, ?, ?)", [shard for _, shard in written])
            db.executemany(
                "UPDATE videos SET mtime_ns = ? WHERE name = ? AND written_ns = ?",
                [(mtime_ns, entry.name, entry.written_ns) for entry, mtime_ns in touched],
            )

    def find(self, **equal: object) -> list[Entry]:
        """The newest entry of each group whose columns have these values, sorted by video id."""
        return list(self.each(**equal))

    def newest(self, names: Sequence[str]) -> dict[str, Entry]:
        """Name of a group -> its newest entry, for several groups in one query; names without entry are not there."""
        marks = ", ".join("?" * len(names))
        query = f"SELECT * FROM videos WHERE name IN ({marks}) ORDER BY {', '.join(Version._fields)}"
        return {row[0]: Entry(*row) for row in self._rows(query, names)}

    def each(self, **equal: object) -> Iterator[Entry]:
        """The same entries as `find`, one after the other: they are never all in memory, and lock nobody out."""
        conditions = "".join(f" AND v.{column} = ?" for column in equal)
        query = f"""{NEWEST}{conditions} AND (v.video, v.recipe_id, v.name) > (?, ?, ?)
            ORDER BY v.video, v.recipe_id, v.name LIMIT {ROWS_AT_ONCE}"""
        last = ("", "", "")
        while rows := self._rows(query, (*equal.values(), *last)):
            for row in rows:
                entry = Entry(*row)
                yield entry
            last = (entry.video, entry.recipe_id, entry.name)

    def superseded_shards(self) -> set[str]:
        """File names of shards with a group of which another shard has a newer version, or the same one."""
        query = f"""SELECT DISTINCT v.shard FROM (SELECT name FROM videos GROUP BY name HAVING count(*) > 1) AS twice
            JOIN videos v USING (name) WHERE EXISTS {NEWER}"""
        return {shard for (shard,) in self._rows(query)}

    def versions_in(self, shard: str) -> dict[str, list[Version]]:
        """The groups of a shard, and all versions of each that any shard holds."""
        query = """SELECT v.name, w.written_ns, w.shard FROM videos v JOIN videos w ON w.name = v.name
            WHERE v.shard = ?"""
        found: dict[str, list[Version]] = {}
        for name, *version in self._rows(query, (shard,)):
            found.setdefault(name, []).append(Version(*version))
        return found

    def left_without(self, names: Collection[str]) -> dict[str, list[str]]:
        """Shards that hold any version of these groups -> the names of the other groups in each of them."""
        found = self._rows("SELECT shard, name FROM videos") if names else []
        shards = {shard for shard, name in found if name in names}
        left: dict[str, list[str]] = {shard: [] for shard in shards}
        for shard, name in found:
            if shard in shards and name not in names:
                left[shard].append(name)
        return left

    def shards(self) -> dict[str, int]:
        """Size in bytes of each known shard."""
        return dict(self._rows("SELECT name, size FROM shards ORDER BY name"))

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _read(self, path: Path) -> tuple[list[Entry], list[StoreError]]:
        """Read the entries of a shard's undamaged groups, and an error for each damaged one."""
        entries, problems = [], []
        try:
            with opened(path) as root:
                for name in root:
                    try:
                        entries.append(entry_of(name, path.name, group_in(root, name)))
                    except DamagedShard as error:
                        problems.append(error)
                    except DAMAGE as error:
                        refuse_unreadable(path, error)
                        problems.append(_damaged(path, error))
        except DAMAGE as error:
            refuse_unreadable(path, error)
            raise _damaged(path, error) from error
        return entries, problems

    @staticmethod
    def _insert(db: sqlite3.Connection, entries: list[Entry]) -> None:
        marks = ", ".join("?" * len(COLUMNS))
        db.executemany(
            f"INSERT OR REPLACE INTO videos VALUES ({marks})",
            [tuple(getattr(entry, column) for column in COLUMNS) for entry in entries],
        )


def _damaged(path: Path, error: Exception) -> DamagedShard:
    return DamagedShard(f"{path}: damaged ({error}); run `vad-pipeline store verify`")
