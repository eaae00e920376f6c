"""Versions of a group: which of several counts, and which a merge may drop. The store and results use the same rule.

A group that is made again goes to a new shard; the old one stays where it is until shards are merged. Until then two
shards hold a group of one name, and the later one counts. An example of three shards, the group's time in brackets:

    one.h5    a (10)   b (10)
    two.h5    a (20)
    three.h5           b (10)      a copy of b: a merge was killed before it took one.h5 away

`a` is what two.h5 holds, and one.h5's may go. Of `b` there are two equal copies: it is the last shard's by name, and
one.h5's may go only if three.h5 is *settled*, that is not about to be merged itself. Otherwise two merges, of which
each leaves `b` to the other one's shard, would lose it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import NamedTuple


class Version(NamedTuple):
    """One version of a group. The largest one counts: the newest, and of equally new ones that of the last shard."""

    written_ns: int
    """When it was made, by `time_after`."""
    shard: str
    """File name of the shard that holds it."""


W_IS_NEWER_THAN_V = "(w.written_ns, w.shard) > (v.written_ns, v.shard)"
"""The order of `Version` in SQL, for the catalogue, which is too large to be read into memory."""


def time_after(written_ns: int) -> int:
    """The time now, in ns, but always later than `written_ns`: clocks can be set back, and those of hosts differ."""
    return max(time.time_ns(), written_ns + 1)


def kept(shard: str, versions: Mapping[str, Collection[Version]], settled: Collection[str]) -> list[str]:
    """Names of the groups that must be copied to another shard before a shard is removed.

    These are the groups of which no shard has a newer version, and no `settled` shard the same version. If all
    processes that remove shards follow this rule, the newest version of every group stays somewhere, even if they do so
    at the same time.

    Args:
        shard: file name of the shard.
        versions: for each group in the shard, all its versions in any shard, this shard's among them.
        settled: file names of shards that no process removes.
    """
    found = []
    for name in sorted(versions):
        own = next(each for each in versions[name] if each.shard == shard)
        newer = any(each.written_ns > own.written_ns for each in versions[name])
        safe = any(each.written_ns == own.written_ns and each.shard in settled for each in versions[name])
        if not newer and not safe:
            found.append(name)
    return found
