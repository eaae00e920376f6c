"""Files of one JSON object a line that are only ever added to: whole lines are on the disk, whatever becomes of us."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from vad_pipeline.extract.errors import StoreError
from vad_pipeline.extract.files import refuse_failed_read


def append_lines(path: Path, rows: Iterable[dict]) -> None:
    """Add rows to a file; they are on the disk once this returns. Half a line that a killed process left is ended.

    Raises:
        StoreError: the file cannot be written.
    """
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    try:
        with path.open("a+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            is_cut_off = size > 0 and file.read(1) != b"\n"
            file.write(b"\n" * is_cut_off + lines.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        told = f"cannot be written ({error.strerror}); make space or give rights, then run the same command again"
        raise StoreError(f"{path}: {told}") from error


def read_lines(path: Path) -> Iterator[tuple[int, dict | None]]:
    """The number of each line, from 1, and its object; None where it holds none, such as half a line. None of all where
    there is no file.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        refuse_failed_read(path, error)
        raise
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # whoever reads on says so
            row = None
        yield number, row if isinstance(row, dict) else None
