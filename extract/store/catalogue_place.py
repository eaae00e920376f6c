"""Where a store's catalogue lies: beside the shards. On a network disk, whose locks SQLite cannot trust, each host has
a catalogue of its own."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

STEM, SUFFIX = "catalogue", ".sqlite"
NETWORK_FILE_SYSTEMS = frozenset("9p afs beegfs ceph cifs glusterfs gpfs lustre ncpfs nfs nfs4 smb3 smbfs".split())


def catalogue_path(store: Path) -> Path:
    """Path of a store's catalogue: beside the shards, with this host's name in it where the disk is a network's."""
    host = f"-{re.sub(r'[^A-Za-z0-9.-]', '_', socket.gethostname())}" if is_of_network(file_system_of(store)) else ""
    return store / f"{STEM}{host}{SUFFIX}"


def is_catalogue(name: str) -> bool:
    """Whether the name of a file in a store's folder is that of a catalogue, or of SQLite's journal of one."""
    return name.startswith(STEM) and name.removesuffix("-journal").endswith(SUFFIX)


def file_system_of(path: Path) -> str:
    """Kind of the file system that a path is on, as the system's table of mounts names it: `ext4`, `nfs4`; empty where
    there is no such table."""
    place = os.path.realpath(path)
    try:
        mounts = Path("/proc/self/mounts").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for _, point, file_system, *_ in (line.split() for line in mounts):
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point)  # blanks and backslashes
        if (place == point or place.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, file_system
    return kind


def is_of_network(file_system: str) -> bool:
    """Whether a file system is a network's, or may be one; an unknown one counts as local."""
    return file_system in NETWORK_FILE_SYSTEMS or file_system.startswith("fuse.")
