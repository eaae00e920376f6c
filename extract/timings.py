"""What serves fastest on this machine: timed once, and remembered in a cache folder that may be lost.

Flags of a processor do not tell: among machines of one size bf16 was measured four times as fast as fp32, slower than
fp32, and only emulated.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import re
import stat
import statistics
import tempfile
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .errors import ConfigError, StoreError
from .files import read_versioned, write_bytes
from .names import plural
from .only_process import in_turn

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "XDG_CACHE_HOME"
TIMINGS_SCHEMA = 1
ROUNDS = 3  # of each way, one way after the other, so that a busy moment strikes all of them
LONGEST_SECONDS = 8.0  # after these no further round begins
NO_CHOICE_SECONDS = 1.0  # a round of the only way that can serve is not repeated where it takes longer
HOPELESS = 3.0  # a way that takes this many times as long as the fastest is not timed again
MARGIN = 1.1  # a way that stands further back in the order of preference must be this many times as fast
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
TIMED_WITH = ("torch", "openvino")  # other versions of them are timed anew

Round = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Timings:
    """Ways to do a stage of the work, timed on this machine."""

    stage: str
    """`extract`, `detect` or `train`, the latter with the name of a head that is not the default one."""
    machine: str
    """The processor or GPU and the number of threads, in words."""
    versions: dict[str, str]
    measured: str
    """The day, as YYYY-MM-DD."""
    seconds: dict[str, float]
    """Way -> median seconds a round, in order of preference."""
    kept_in: Path | None = field(default=None, compare=False)
    """The file in which they are remembered."""

    def best(self, among: Collection[str]) -> str | None:
        """The fastest of some ways, but a preferred one where the gain is small; None where none of them was timed."""
        ways = [way for way in self.seconds if way in among]
        best = ways[0] if ways else None
        for way in ways[1:]:
            if self.seconds[way] * MARGIN < self.seconds[best]:
                best = way
        return best

    def words(self) -> str:
        """The table in one line: each way and how its time compares with that of the fastest."""
        fastest = min(self.seconds.values())
        return ", ".join(f"{way} {taken / fastest:.2f}" for way, taken in self.seconds.items())


def timed_once(
    stage: str, ways: dict[str, Callable[[], Round | None]], *, threads: int, device: str = "", again: bool = False
) -> Timings:
    """The timings of a stage on this machine: those remembered, or taken now, by one process at a time.

    Args:
        stage: what is timed; timings of one stage are remembered together.
        ways: name of a way -> function that prepares it and returns a function that does one round, or None where the
            way is hopeless, in order of preference; they are called only where nothing is remembered.
        threads: how many threads computing has here.
        device: name of the GPU; empty: the processor.
        again: whether to time anew what is remembered.
    """
    path = timings_path(stage, ways, threads=threads, device=device)
    with in_turn(path.parent):  # workers that start together would disturb each other, and might not agree
        remembered = None if again else remembered_in(path)
        if remembered is None:
            logger.info("timing %s on this machine once: %s", stage, ", ".join(ways))
            remembered = Timings(
                stage,
                f"{device or processor()}, {plural(threads, 'thread')}",
                _versions(),
                time.strftime("%Y-%m-%d"),
                _timed(ways),
            )
            remember(remembered, path)
    return replace(remembered, kept_in=path)


def _timed(ways: dict[str, Callable[[], Round | None]]) -> dict[str, float]:
    """Median seconds a round of each way; of those that turn out hopeless, that of the first round.

    Where a single way can serve there is nothing to choose: of a long round the first tells about how long it takes.
    """
    rounds = {way: one for way, prepare in ways.items() if (one := prepare())}
    started = time.perf_counter()
    warming_up = {way: _seconds(one) for way, one in rounds.items()}
    if len(rounds) == 1 and min(warming_up.values()) > NO_CHOICE_SECONDS:
        return warming_up
    first = {way: _seconds(one) for way, one in rounds.items()}
    alive = [way for way in rounds if first[way] <= HOPELESS * min(first.values())]
    taken = {way: [first[way]] for way in rounds}
    while len(taken[alive[0]]) < ROUNDS and time.perf_counter() - started < LONGEST_SECONDS:
        for way in alive:
            taken[way].append(_seconds(rounds[way]))
    return {way: statistics.median(seconds) for way, seconds in taken.items()}


def _seconds(one: Round) -> float:
    started = time.perf_counter()
    one()
    return time.perf_counter() - started


def cache_folder() -> Path:
    """Where timings and compiled towers are kept: `vad-pipeline` in XDG_CACHE_HOME or ~/.cache, else in the folder for
    temporary files, where it is nobody else's."""
    try:
        base = Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache")
        folder = base / "vad-pipeline"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):  # no home, or a read-only one
        pass
    folder = Path(tempfile.gettempdir()) / f"vad-pipeline-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:  # whoever keeps something there says that it cannot
        return folder
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & OTHERS_WRITE
    return folder if is_ours else _folder_of_this_process()


@lru_cache(maxsize=1)
def _folder_of_this_process() -> Path:
    """A folder where somebody else has taken the name of ours."""
    return Path(tempfile.mkdtemp(prefix="vad-pipeline-"))


def timings_path(stage: str, ways: Iterable[str], *, threads: int, device: str = "") -> Path:
    """The file in which timings of a stage are kept, named by a hash of all that they depend on."""
    parts = [stage, list(ways), threads, device, processor(), _abilities(), _versions()]
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    return cache_folder() / f"timings-{key}.json"


def remember(timings: Timings, path: Path) -> None:
    """Keep timings; where that fails, a warning is logged and they are taken again next time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        values = asdict(timings)
        del values["kept_in"]
        write_bytes(path, json.dumps({"schema": TIMINGS_SCHEMA} | values, indent=2).encode())
    except (OSError, StoreError) as error:
        logger.warning("what is fastest here could not be kept and is timed again next time: %s", error)


def remembered_in(path: Path) -> Timings | None:
    """The timings that a file keeps; None where it is not there, or damaged, which is logged."""
    if not path.exists():
        return None
    try:
        values = read_versioned(path, TIMINGS_SCHEMA, what="timings", advice="delete it")
        values.pop("schema")
        seconds = values["seconds"]
        if not seconds or not all(isinstance(taken, float) and taken > 0 for taken in seconds.values()):
            raise ConfigError("no times, or one that is no positive number")
        return Timings(**values, kept_in=path)
    except (StoreError, ConfigError, TypeError, KeyError, AttributeError) as error:
        logger.warning("%s: damaged, timed anew (%s)", path, error)
        return None


@lru_cache(maxsize=1)
def processor() -> str:
    """The processor's name, as the system gives it."""
    match = re.search(r"^model name\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()


def _abilities() -> str:
    """A hash of the processor's family and flags: processors of one name differ, and a virtual one may hide some."""
    facts = re.findall(r"^(?:cpu family|model|stepping|flags|Features)\s*:.*$", _cpuinfo(), re.MULTILINE)
    return hashlib.sha256("\n".join(sorted(set(facts))).encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def _versions() -> dict[str, str]:
    found = {}
    for name in TIMED_WITH:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
