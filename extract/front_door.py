"""Lets a room offer names of its modules as its own: `from vad_pipeline.extract import EmbeddingStore`.

A module is imported when one of its names is first asked for (PEP 562), so that `--help`, `store ls` and the report
load no torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping


def front_door(room: str, offered: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Make `__getattr__` and `__dir__` of a room.

    Args:
        room: `__name__` of the room's package.
        offered: module in the room -> the names it offers, separated by blanks.
    """
    homes = {name: module for module, names in offered.items() for name in names.split()}

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{room}.{homes[name]}"), name)

    return load, lambda: sorted(homes)
