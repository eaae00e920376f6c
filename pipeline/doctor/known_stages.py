"""The tables that the stages go by on this machine, found again without torch, whose import alone takes seconds."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from vad_pipeline.extract.errors import StoreError
from vad_pipeline.extract.files import read_versioned, write_bytes
from vad_pipeline.extract.timings import Timings, remembered_in, timings_path

from .machine import has_gpu_driver

logger = logging.getLogger(__name__)

KNOWN_SCHEMA = 1
SAYS_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # by these torch takes another number of threads
ON_THE_PROCESSOR = ("auto", "cpu")


def known_stages(device: str) -> dict[str, Timings] | None:
    """Stage -> its timings, where an earlier look found them and nothing that they depend on has changed.

    None wherever only torch can tell: with a GPU's driver on this machine, on other devices than the processor, and
    where a table is gone.

    Args:
        device: as `--device` names it.
    """
    path = _path(device)
    if path is None or not path.exists():
        return None
    try:
        files = read_versioned(path, KNOWN_SCHEMA, what="timings", advice="delete it")["files"]
        found = {stage: remembered_in(path.parent / Path(name).name) for stage, name in files.items()}
    except (StoreError, KeyError, TypeError, AttributeError) as error:
        logger.warning("%s: damaged, made anew (%s)", path, error)
        return None
    return found if all(found.values()) else None


def keep_known(device: str, stages: Mapping[str, Timings]) -> None:
    """Remember for `known_stages` in which files the timings are kept; a cache folder that takes nothing costs time."""
    path = _path(device)
    if path is None:
        return
    files = {stage: timings.kept_in.name for stage, timings in stages.items()}
    try:
        write_bytes(path, json.dumps({"schema": KNOWN_SCHEMA, "files": files}).encode())
    except (OSError, StoreError) as error:
        logger.debug("%s: not kept (%s)", path, error)


def _path(device: str) -> Path | None:
    if has_gpu_driver() or device not in ON_THE_PROCESSOR:
        return None
    threads = [os.environ.get(name, "") for name in SAYS_THREADS]
    return timings_path("doctor", threads, threads=len(os.sched_getaffinity(0)))
