"""Where a store's index lies: beside the shards; on a network disk, whose locks SQLite cannot trust, one a host."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

STEM, SUFFIX = "catalogue", ".sqlite"
NETWORK_FILE_SYSTEMS = frozenset("9p afs beegfs ceph cifs glusterfs gpfs lustre ncpfs nfs nfs4 smb3 smbfs".split())


def catalogue_path(store: Path) -> Path:
    """Where the index of a store lies: beside the shards, under a host's own name where the disk is a network's."""
    host = f"-{re.sub(r'[^A-Za-z0-9.-]', '_', socket.gethostname())}" if _is_on_network(store) else ""
    return store / f"{STEM}{host}{SUFFIX}"


def is_catalogue(name: str) -> bool:
    """Whether a file in a store's folder is an index, or SQLite's journal of one."""
    return name.startswith(STEM) and name.removesuffix("-journal").endswith(SUFFIX)


def _is_on_network(path: Path) -> bool:
    """By the mount that holds `path`; where the system does not tell, it counts as local."""
    place = os.path.realpath(path)
    try:
        mounts = Path("/proc/self/mounts").read_text(errors="replace").splitlines()
    except OSError:
        return False
    best, kind = "", ""
    for _, point, file_system, *_ in (line.split() for line in mounts):
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point)  # blanks and backslashes
        if (place == point or place.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, file_system
    return kind in NETWORK_FILE_SYSTEMS or kind.startswith("fuse.")
