"""Keeps quiet what libraries say on their own: their logs, and their reports to where they come from."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

TELEMETRY = "openvino_telemetry"  # of OpenVINO and NNCF


@contextlib.contextmanager
def unlogged(level: int = logging.ERROR) -> Iterator[None]:
    """Silence what is logged up to a level in a `with` block; our own errors and warnings say what matters."""
    previous = logging.root.manager.disable
    logging.disable(level)
    try:
        yield
    finally:
        logging.disable(previous)


@contextlib.contextmanager
def without_telemetry() -> Iterator[None]:
    """Let imports in a `with` block find no telemetry.

    It would report every import, conversion and quantisation to Google, each time from a fork of this process, for
    which the process then waits at its end. What a program has imported before keeps its choice.
    """
    own = sys.modules.get(TELEMETRY)
    sys.modules[TELEMETRY] = None  # an import of it fails
    try:
        yield
    finally:
        del sys.modules[TELEMETRY]
        if own is not None:
            sys.modules[TELEMETRY] = own
