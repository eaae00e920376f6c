"""The SQLite file of a catalogue: opened, made, made anew where it is damaged or was deleted, and its errors told."""

from __future__ import annotations

import contextlib
import logging
import marshal
import os
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ..errors import ConfigError, StoreBusy, StoreError
from .entry import COLUMNS, Entry

logger = logging.getLogger(__name__)

APPLICATION_ID = 0x56414463  # in the header of our SQLite files
APPLICATION_ID_END = 72  # byte in that header
LOCK_SECONDS = 60  # how long to wait for another process's write
TRIES = 3  # of what is done on a catalogue: other runs may make it anew at the same time
TABLES = ("shards", "videos", "store")
ROW = (*COLUMNS, "crc")
SHARD_STATE = ("size", "mtime_ns", "ctime_ns")
SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
CREATE TABLE store (id TEXT);
CREATE TABLE shards (name TEXT PRIMARY KEY, {", ".join(SHARD_STATE)});
CREATE TABLE videos ({", ".join(ROW)}, PRIMARY KEY (name, shard));
CREATE INDEX videos_by_shard ON videos (shard);
CREATE INDEX videos_by_video ON videos (video);
CREATE INDEX videos_by_fingerprint ON videos (fingerprint);
CREATE INDEX videos_by_size ON videos (size);
"""
# SQLite's codes for what is no fault of the file's content; others tell of damage
BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
OF_THE_SYSTEM = BUSY | {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM}
NO_RIGHTS = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})
# what a damaged file makes Python's module raise: its text need not be UTF-8, its lengths can be beyond all memory
ERRORS = (sqlite3.Error, UnicodeDecodeError, MemoryError, OverflowError)
Result = TypeVar("Result")


class CannotWrite(StoreError):
    """The file cannot be written: the disk is full, or one may only read it."""


class DamagedRow(sqlite3.DatabaseError):
    """A row is not what was written."""


class CatalogueFile:
    """The database of a catalogue.

    Args:
        path: the file.
        store_id: id of the store; a file of another store is not used.
        own: whether `path` is in the store's folder, where no other file has that name; otherwise the user chose it.

    Raises:
        ConfigError: `path` is no catalogue, or that of another store, or cannot be made.
        StoreError: the file is locked, or the disk is full.
    """

    def __init__(self, path: Path, store_id: str, *, own: bool):
        self.path, self._store_id, self._own = path, store_id, own
        if not own:
            self._refuse_foreign_file()
        try:
            self._connect()
        except ERRORS as error:
            if not self._is_worthless(error):  # locked, full disk: it may be in another run's hands
                raise self._told(error) from error
            self._make_anew()

    def run(self, operate: Callable[[sqlite3.Connection], Result], *, fill: Callable[[], object]) -> Result:
        """Do something in one transaction; where the file turns out to be damaged, or was deleted meanwhile, on a new
        one.

        Args:
            operate: what is done.
            fill: called on a new file before that.

        Raises:
            StoreError: it is locked, or cannot be written.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                with self._db:
                    return operate(self._db)
            except ERRORS as error:
                if not (tries_left and self._is_worthless(error)):
                    raise self._told(error) from error
            self._make_anew()
            fill()
        raise AssertionError("the last try returns or raises")

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

    def _make_anew(self) -> None:
        """Put an empty file in the place of a damaged or deleted one, unless another run has done so. Other runs that
        have the old one open find out as they write."""
        logger.warning("%s: damaged or gone, rebuilt from the shards", self.path)
        self.close()
        try:
            if self._inode == _inode(self.path):
                for leftover in (self.path.with_name(f"{self.path.name}-journal"), self.path):
                    leftover.unlink(missing_ok=True)
        except OSError:  # a disk one may only read
            self.use_memory()
            return
        try:
            self._connect()
        except ERRORS as error:
            raise self._told(error) from error

    def _connect(self) -> None:
        if not self.path.exists():
            with contextlib.suppress(OSError):  # SQLite says what is wrong
                self.path.touch()  # a file that SQLite makes is never a group's to write
        try:
            self._db = sqlite3.connect(self.path, timeout=LOCK_SECONDS)
            self._inode = _inode(self.path)
            if not self._is_ours():
                self._make()
        except sqlite3.OperationalError as error:
            if _code(error) not in NO_RIGHTS or self._is_worthless(error):
                raise
            if not self._own:
                raise ConfigError(f"--catalogue {self.path}: cannot be used ({error}); give another file") from error
            self.use_memory()
        self._db.execute("SELECT * FROM videos LIMIT 1").fetchone()

    def _is_ours(self) -> bool:
        """Whether the file has the tables of this version, and is the catalogue of this store."""
        for table, columns in (("videos", ROW), ("shards", ("name", *SHARD_STATE))):
            if tuple(row[1] for row in self._db.execute(f"PRAGMA table_info({table})")) != columns:
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

    def use_memory(self) -> None:
        """Go on with an empty catalogue in memory, so that a store without rights to write can still be read."""
        self._db = sqlite3.connect(":memory:")
        self._create()

    def _is_worthless(self, error: Exception) -> bool:
        """Whether an error says that the file is damaged, or no longer the one of that name."""
        code = _code(error)
        if code in NO_RIGHTS:  # a damaged header also forbids writing, and SQLite writes to no file that was deleted
            folder = self.path.parent
            return os.access(folder, os.W_OK) and (not self.path.exists() or os.access(self.path, os.W_OK))
        return code not in OF_THE_SYSTEM

    def _told(self, error: Exception) -> StoreError:
        code = _code(error)
        if code in BUSY:
            return StoreBusy(f"{self.path}: another command is using it ({error}); run this one again later")
        if code in OF_THE_SYSTEM | NO_RIGHTS:
            kind = StoreError if code == sqlite3.SQLITE_IOERR else CannotWrite
            return kind(f"{self.path}: cannot be used ({error}); make space or give rights, then go on")
        return StoreError(f"{self.path}: damaged ({error}); run again, it is rebuilt from the shards")

    def close(self) -> None:
        """Close the database."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()


def state_of(shard: Path) -> tuple[int, int, int]:
    """What a shard is known by: its size, its modification time and its change time. Nobody can set the last one, so
    that a catalogue which a store of others has brought along knows none of its shards.

    Raises:
        OSError: it is not there, or cannot be looked at.
    """
    stat = shard.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _code(error: Exception) -> int | None:
    """SQLite's primary code of an error; None where Python's module has made it."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _inode(path: Path) -> int | None:
    """The number of the file of that name; None where there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def row_of(entry: Entry) -> tuple:
    """The row of an entry, its check sum last."""
    values = tuple(getattr(entry, column) for column in COLUMNS)
    return (*values, _crc(values))


def entry_in(row: Sequence[object]) -> Entry:
    """The entry in a row.

    Raises:
        DamagedRow: it is not what was written.
    """
    *values, crc = row
    if _crc(tuple(values)) != crc:
        raise DamagedRow("a row is not what was written")
    return Entry(*values)


def _crc(values: tuple) -> int:
    return zlib.crc32(marshal.dumps(values, 0))  # version 0: the bytes follow from the values alone
