"""Reads the YAML file of `compare`: options for all rows, and the rows, each a name and options of `train`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from vad_pipeline.extract.errors import ConfigError, quoted, shown
from vad_pipeline.extract.names import composed
from vad_pipeline.model.yaml_file import YamlKind, as_written, reading_yaml

ROWS, NAME, GRID = "rows", "name", "grid"
EXAMPLE = "options of train for all rows, and `rows:` with a list such as `- {name: DSANet, lr: 1e-5}`"
KIND = YamlKind("rows to compare", "values", EXAMPLE)
YES, NO = ("true", "yes", "on"), ("false", "no", "off")
OWN_CODE = re.compile(r"(?P<file>.+\.py)(?P<rest>:.*)")
TEXT = "text"  # click's name of the type of options that are any text

Written = str | list[str]


@dataclass(frozen=True, slots=True)
class RowSpec:
    """One row as written."""

    name: str
    values: dict[str, Written]
    """Option without its dashes -> its value or values; those for all rows are not among them."""


@dataclass(frozen=True, slots=True)
class RowFile:
    """The file."""

    path: Path
    common: dict[str, Written]
    """Options for all rows, without dashes."""
    rows: tuple[RowSpec, ...]

    def words(self, values: Mapping[str, Written], command: click.Command, *, where: str = "") -> list[str]:
        """Write options as a command line has them; paths are taken from the file's folder.

        Args:
            values: option without dashes -> value.
            command: the command whose options they are.
            where: the row that they stand in, for messages.

        Raises:
            ConfigError: the command has no such option, or it takes no such value.
        """
        by_name = {flag.removeprefix("--"): each for each in _options(command) for flag in each.opts}
        words = []
        for name, value in values.items():
            if name not in by_name:
                raise ConfigError(f"{self.path}{where}: {quoted(name)} is no option of {command.name}")
            words += self._words_of(f"--{name}", by_name[name], value, where)
        return words

    def _words_of(self, flag: str, option: click.Option, value: Written, where: str) -> list[str]:
        if option.is_flag:
            return [flag] if self.is_true(flag, value, where) else []
        values = [value] if isinstance(value, str) else value
        if not option.multiple:
            values = [",".join(values)]
        return [f"{flag}={self.located(option, each)}" for each in values]

    def is_true(self, flag: str, value: Written, where: str = "") -> bool:
        """The value of an option without one on the command line.

        Raises:
            ConfigError: it is neither true nor false.
        """
        if not isinstance(value, str) or value.lower() not in (*YES, *NO):
            raise ConfigError(f"{self.path}{where}: {flag} is true or false, got {quoted(value)}")
        return value.lower() in YES

    def located(self, option: click.Option, value: str) -> str:
        """A value as it is meant: what names a file does so from the folder of this file."""
        folder = self.path.parent
        if code := OWN_CODE.fullmatch(value):
            return f"{folder / code['file']}{code['rest']}"
        is_file = option.type.name == TEXT and (folder / value).is_file()
        return str(folder / value) if isinstance(option.type, click.Path) or is_file else value


def read_row_file(path: Path) -> RowFile:
    """Read the file.

    Raises:
        ConfigError: it cannot be read, has no rows, or a row has no name or that of another one.
    """
    with reading_yaml(path, KIND) as document:
        content = as_written(path, document.root)
    if not isinstance(content, dict) or not isinstance(content.get(ROWS), list) or not content[ROWS]:
        raise ConfigError(f"{path}: holds no rows; expected {EXAMPLE}")
    common = _values({name: value for name, value in content.items() if name != ROWS}, str(path))
    rows = [row for number, row in enumerate(content[ROWS], 1) for row in _rows(row, f"{path}, row {number}")]
    seen: set[str] = set()
    for row in rows:
        if composed(row.name) in seen:
            raise ConfigError(f"{path}: two rows are named {quoted(row.name)}; name them apart")
        seen.add(composed(row.name))
    return RowFile(path, common, tuple(rows))


def _rows(written: object, where: str) -> Iterator[RowSpec]:
    """A row; one with a grid is a row for each choice of its values."""
    if not isinstance(written, dict) or not isinstance(written.get(NAME), str) or not written[NAME].strip():
        raise ConfigError(f"{where}: needs a name, got {shown(written)}; expected {EXAMPLE}")
    grid = written.get(GRID, {})
    own = _values({name: value for name, value in written.items() if name not in (NAME, GRID)}, where)
    if not isinstance(grid, dict) or not all(isinstance(values, list) and values for values in grid.values()):
        raise ConfigError(f"{where}: its grid must be options with a list of values each, got {shown(grid)}")
    choices = [[(name, value) for value in values] for name, values in grid.items()]
    for chosen in itertools.product(*choices):
        of_grid = _values(dict(chosen), where)
        name = " ".join([written[NAME].strip(), *(f"{key}={_shown(value)}" for key, value in of_grid.items())])
        if not name.isprintable():
            raise ConfigError(f"{where}: {quoted(name)} is no name for a line of a table")
        yield RowSpec(name, {**own, **of_grid})


def _values(written: dict, where: str) -> dict[str, Written]:
    for name, value in written.items():
        several = isinstance(value, list) and all(isinstance(each, str) for each in value)
        if not (isinstance(value, str) or several):
            raise ConfigError(f"{where}: {quoted(name)} must have a value or a list of values, got {shown(value)}")
    return written


def _shown(value: Written) -> str:
    return value if isinstance(value, str) else ",".join(value)


def _options(command: click.Command) -> list[click.Option]:
    return [each for each in command.params if isinstance(each, click.Option)]
