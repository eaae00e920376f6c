"""The catalogue: an SQLite index of a store's shards, which tells what they hold without opening each of them.

Deleting it loses nothing: `sync` reads the shards that the catalogue does not know and forgets those that are gone. On
a network disk, where SQLite's locks cannot be trusted, every host has a catalogue of its own.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ..errors import DamagedShard, StoreError
from .catalogue_file import CannotWrite, CatalogueFile, DamagedRow, entry_in, row_of, state_of
from .entry import Entry, entries_in
from .own_process import read_apart
from .shards import each_shard, names_in
from .versions import W_IS_NEWER_THAN_V, Version

Result = TypeVar("Result")
ROWS_AT_ONCE = 1000
CHECKED_BYTES = 8 << 20  # a catalogue of up to 10,000 videos is checked as it is opened, larger ones by `verify`
NEWER = f"(SELECT 1 FROM videos w WHERE w.name = v.name AND {W_IS_NEWER_THAN_V})"
NEWEST = f"SELECT v.* FROM videos v WHERE NOT EXISTS {NEWER}"


class Catalogue:
    """An index of the shards in a folder. Whatever it is asked, one that turns out to be damaged, or was deleted, is
    rebuilt first.

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
        self.path, self.folder = path, folder
        self._file = CatalogueFile(path, store_id, own=own)
        if path.exists() and path.stat().st_size <= CHECKED_BYTES:
            self.check()

    def _run(self, operate: Callable[[sqlite3.Connection], Result]) -> Result:
        return self._file.run(operate, fill=self.sync)

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[tuple]:
        return self._run(lambda db: db.execute(query, values).fetchall())

    def _entries(self, query: str, values: Sequence[object] = ()) -> list[Entry]:
        return self._run(lambda db: list(map(entry_in, db.execute(query, values))))

    def sync(self) -> list[StoreError]:
        """Bring the catalogue up to date: add new shards, forget those that are gone or damaged.

        Returns:
            An error for each damage found; damaged features count as not stored.

        Raises:
            StoreError: a shard cannot be read, but not because it is damaged, or the catalogue cannot be written.
        """
        try:
            return self._file.run(self._synced, fill=lambda: None)
        except CannotWrite:
            self._file.use_memory()
            return self._file.run(self._synced, fill=lambda: None)

    def _synced(self, db: sqlite3.Connection) -> list[StoreError]:
        known = {name: tuple(state) for name, *state in db.execute("SELECT * FROM shards")}
        problems: list[StoreError] = []
        present: set[str] = set()
        rows: list[Entry] = []
        read: dict[str, tuple[int, ...]] = {}  # entered into `shards`; those with damaged groups are read every time
        for path in each_shard(self.folder):
            try:
                state = state_of(path)
                present.add(path.name)
                if known.get(path.name) == state:
                    continue
                found, damaged = read_apart([path], entries_in, path)
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
                read[path.name] = state
        gone = [(name,) for name in known if name not in present]
        if rows or read or gone or problems:
            touched = [replace(row, mtime_ns=_known_mtime(db, row)) for row in rows]
            db.executemany("DELETE FROM shards WHERE name = ?", gone + [(name,) for name in read])
            db.executemany("INSERT INTO shards VALUES (?, ?, ?, ?)", [(name, *state) for name, state in read.items()])
            db.execute("DELETE FROM videos WHERE shard NOT IN (SELECT name FROM shards)")
            db.executemany("DELETE FROM videos WHERE shard = ?", [(name,) for name in read])
            _insert(db, touched)
        return problems

    def add(self, entries: list[Entry], *, touched: Sequence[tuple[Entry, int]] = ()) -> None:
        """Add shards just written, of one entry each, and new times (ns) of sources whose content is unchanged."""
        written = []
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # merged away by another run already: `sync` finds it
                written.append((entry, (entry.shard, *state_of(self.folder / entry.shard))))

        def add(db: sqlite3.Connection) -> None:
            _insert(db, [entry for entry, _ in written])
            db.executemany("INSERT OR REPLACE INTO shards VALUES (?, ?, ?, ?)", [shard for _, shard in written])
            for entry, mtime_ns in touched:
                _insert(db, [replace(same, mtime_ns=mtime_ns) for same in _of_version(db, entry)])

        if written or touched:
            self._run(add)

    def find(self, **equal: object) -> list[Entry]:
        """The newest entry of each group whose columns have these values, sorted by video id."""
        return list(self.each(**equal))

    def newest(self, names: Sequence[str]) -> dict[str, Entry]:
        """Name of a group -> its newest entry, for several groups in one query; names without entry are not there."""
        marks = ", ".join("?" * len(names))
        query = f"SELECT * FROM videos WHERE name IN ({marks}) ORDER BY {', '.join(Version._fields)}"
        return {entry.name: entry for entry in self._entries(query, names)}

    def each(self, **equal: object) -> Iterator[Entry]:
        """The same entries as `find`, one after the other: they are never all in memory, and lock nobody out."""
        conditions = "".join(f" AND v.{column} = ?" for column in equal)
        query = f"""{NEWEST}{conditions} AND (v.video, v.recipe_id, v.name) > (?, ?, ?)
            ORDER BY v.video, v.recipe_id, v.name LIMIT {ROWS_AT_ONCE}"""
        last = ("", "", "")
        while entries := self._entries(query, (*equal.values(), *last)):
            yield from entries
            last = (entries[-1].video, entries[-1].recipe_id, entries[-1].name)

    def superseded_shards(self) -> set[str]:
        """File names of shards with a group of which another shard has a newer version, or the same one."""
        query = f"""SELECT DISTINCT v.shard FROM (SELECT name FROM videos GROUP BY name HAVING count(*) > 1) AS twice
            JOIN videos v USING (name) WHERE EXISTS {NEWER}"""
        return {shard for (shard,) in self._rows(query)}

    def versions_in(self, shard: str) -> dict[str, list[Version]]:
        """The groups of a shard, and all versions of each that any shard holds.

        The shard's own list of groups is compared: what is not named here would go with the shard once it is merged.
        """
        query = "SELECT w.* FROM videos v JOIN videos w ON w.name = v.name WHERE v.shard = ?"

        def versions(db: sqlite3.Connection) -> dict[str, list[Version]]:
            found: dict[str, list[Version]] = {}
            for entry in map(entry_in, db.execute(query, (shard,))):
                found.setdefault(entry.name, []).append(Version(entry.written_ns, entry.shard))
            with contextlib.suppress(FileNotFoundError, DamagedShard):  # whoever copies from it is told
                if names_in(self.folder / shard) != set(found):
                    raise DamagedRow(f"it does not name the groups of {shard}")
            return found

        return self._run(versions)

    def shards_with(self, names: Collection[str]) -> list[str]:
        """File names of the shards that hold any version of these groups."""
        found = self._rows("SELECT shard, name FROM videos") if names else []
        return sorted({shard for shard, name in found if name in names})

    def shards(self) -> dict[str, int]:
        """Size in bytes of each known shard."""
        return dict(self._rows("SELECT name, size FROM shards ORDER BY name"))

    def check(self) -> None:
        """Read all of it, its indexes too, and rebuild it where they disagree."""

        def read(db: sqlite3.Connection) -> None:
            if db.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)]:
                raise DamagedRow("its indexes disagree with its rows")

        self._run(read)

    def close(self) -> None:
        """Close the database."""
        self._file.close()


def _known_mtime(db: sqlite3.Connection, entry: Entry) -> int:
    """The newest known modification time of an entry's source, which the catalogue may have and the shard not."""
    return max((same.mtime_ns for same in _of_version(db, entry)), default=entry.mtime_ns)


def _of_version(db: sqlite3.Connection, entry: Entry) -> list[Entry]:
    """What the catalogue has of a version of a group, of which there may be copies in several shards."""
    query = "SELECT * FROM videos WHERE name = ? AND written_ns = ?"
    return list(map(entry_in, db.execute(query, (entry.name, entry.written_ns))))


def _insert(db: sqlite3.Connection, entries: list[Entry]) -> None:
    rows = list(map(row_of, entries))
    if rows:
        db.executemany(f"INSERT OR REPLACE INTO videos VALUES ({', '.join('?' * len(rows[0]))})", rows)
