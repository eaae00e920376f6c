"""One `watch` a results folder: a lock, and where hosts share no locks a heart that the other one hears."""

from __future__ import annotations

import contextlib
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError, StoreError
from vad_pipeline.extract.files import write_bytes
from vad_pipeline.extract.only_process import only_process

LOCK_NAME, HEART_NAME = ".watching", "watching.json"
BEAT_SECONDS = 5.0


@contextlib.contextmanager
def only_watcher(results: Path, folder: Path) -> Iterator[Callable[[], None]]:
    """Be the only `watch` of a results folder in a `with` block that gets `beat`, to be called every few seconds.

    A lock keeps a second process out. Hosts may share a disk on which the locks of one are unknown to the other: where
    another host's heart is found, two beats are waited for; if it has beaten meanwhile, that host is at work.

    Args:
        results: the results folder, for the message.
        folder: where the lock and the heart lie; made where it is missing.

    Raises:
        ConfigError: another process or host watches into this folder.
        StoreError: the folder cannot be written.
    """
    heart, own = folder / HEART_NAME, uuid.uuid4().hex
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made ({error.strerror}); give another --out or make space") from error
    with only_process(folder / LOCK_NAME) as alone:
        if not alone:
            raise ConfigError(f"{results}: another `watch` of this machine is writing into it; give another --out")
        before = _heart(heart)
        if before and before.get("host") != socket.gethostname():
            time.sleep(2 * BEAT_SECONDS)
            if _heart(heart) != before:
                raise ConfigError(f"{results}: `watch` on {before.get('host')} is writing into it; give another --out")
        count, beaten = 0, 0.0

        def beat() -> None:
            nonlocal count, beaten
            if time.monotonic() - beaten < BEAT_SECONDS and count:
                return
            theirs = _heart(heart)
            if count and theirs.get("by") not in (own, None):
                host = theirs.get("host")
                raise ConfigError(f"{results}: `watch` on {host} has begun to write into it too: this one stops")
            count, beaten = count + 1, time.monotonic()
            write_bytes(heart, json.dumps({"host": socket.gethostname(), "by": own, "beat": count}).encode())

        beat()
        try:
            yield beat
        finally:
            with contextlib.suppress(OSError):
                heart.unlink(missing_ok=True)


def _heart(path: Path) -> dict:
    """What the heart says; empty where there is none."""
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
