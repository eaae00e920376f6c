"""Kinds of values that options have: what is typed becomes what the code works with, or is refused in a sentence."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import click

from vad_pipeline.extract.lists import frame_rate


class IntList(click.ParamType):
    """An option's value that is a list of whole numbers: `0,5` becomes (0, 5)."""

    name = "list"

    def convert(self, value, param, ctx):
        """Parse, or fail with what was expected."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers such as 0,5", param, ctx)


class CommandWords(click.ParamType):
    """An option's value that is a command: `notify --to me` becomes ("notify", "--to", "me"); no shell reads it."""

    name = "command"

    def convert(self, value, param, ctx):
        """Split as a shell would, or fail where it cannot be run."""
        if isinstance(value, tuple):
            return value
        try:
            words = tuple(shlex.split(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        if not words:
            self.fail("is empty (an unset variable?)", param, ctx)
        if shutil.which(words[0]) is None:
            self.fail(f"{words[0]!r} is no program here; pipes and && need a shell: sh -c '...'", param, ctx)
        return words


class Place(click.Path):
    """A path that is not empty: an unset shell variable must not mean the current folder."""

    def __init__(self):
        super().__init__(path_type=Path)

    def convert(self, value, param, ctx):
        """Turn the text into a Path, and refuse an empty one."""
        if value == "":
            self.fail("is empty (an unset variable?)", param, ctx)
        return super().convert(value, param, ctx)


class Rate(click.ParamType):
    """An option's value that is a frame rate: `30`, `29.97` or `30000/1001` becomes a Fraction."""

    name = "rate"

    def convert(self, value, param, ctx):
        """Parse, or fail with what was expected."""
        try:
            return frame_rate(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
