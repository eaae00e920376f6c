"""Lists that somebody wrote: their text and their rows, in whatever dialect of CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from .errors import ConfigError


def read_list_text(path: Path) -> str:
    """The text of a list that somebody wrote; a byte-order mark is understood.

    Raises:
        ConfigError: it is not there, or in another encoding.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no UTF-8 text; save it as UTF-8 (in Excel: CSV UTF-8)") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def read_rows(path: Path) -> list[list[str]]:
    """The rows of a CSV file, blank ones dropped and cells stripped; comma or semicolon, byte-order mark understood.

    Raises:
        ConfigError: it is not there, no text, or empty.
    """
    text = read_list_text(path)
    first = text.split("\n", 1)[0]
    rows = csv.reader(io.StringIO(text), delimiter=";" if ";" in first and "," not in first else ",")
    try:
        rows = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise ConfigError(f"{path}: cannot be read as a list ({error})") from error
    if not rows:
        raise ConfigError(f"{path}: holds no rows")
    return rows
