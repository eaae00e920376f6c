"""Versions of a group: which of several counts, and which a merge may drop. One rule, for the store and for results.

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
    """Where one version of a group lies. The largest of a name counts: the newest, of equal ones the last shard's."""

    written_ns: int
    """When it was made (`time_after`)."""
    shard: str
    """File name."""


W_IS_NEWER_THAN_V = "(w.written_ns, w.shard) > (v.written_ns, v.shard)"
"""The order of `Version` in SQL, for what is too large to be held in memory."""


def time_after(written_ns: int) -> int:
    """Now in nanoseconds, and later than `written_ns` in any case: clocks are set back, and hosts' differ."""
    return max(time.time_ns(), written_ns + 1)


def kept(shard: str, versions: Mapping[str, Collection[Version]], settled: Collection[str]) -> list[str]:
    """The groups of a shard that must not go with it, by name.

    Those of which nobody holds a newer version, nor `settled` shards the same one. Whoever takes shards away by this
    rule, at the same time as others do, leaves the newest version of every group somewhere.

    Args:
        shard: the file's name.
        versions: of each group that the shard holds, all versions that there are, the shard's own among them.
        settled: file names of shards that nobody takes away.
    """
    found = []
    for name in sorted(versions):
        own = next(each for each in versions[name] if each.shard == shard)
        newer = any(each.written_ns > own.written_ns for each in versions[name])
        safe = any(each.written_ns == own.written_ns and each.shard in settled for each in versions[name])
        if not newer and not safe:
            found.append(name)
    return found
