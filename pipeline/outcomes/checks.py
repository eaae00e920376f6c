"""What a value read from an outcome file must be to be used. A damaged file can hold anything that JSON can say."""

from __future__ import annotations

import json
from datetime import datetime

LARGEST = 2**63


def record_of(line: str) -> dict:
    """The JSON object in a line.

    Raises:
        ValueError: it is none, or one that Python refuses to read.
    """
    try:
        record = json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(record, dict):
        raise ValueError("is no object")
    return record


def is_text(value: object) -> bool:
    """Whether it is a text that can be written as UTF-8: JSON can also hold halves of characters."""
    return _can_be_encoded(value, "strict")


def is_path(value: object) -> bool:
    """Whether it can be a path, whose bytes need not be UTF-8."""
    return _can_be_encoded(value, "surrogateescape")


def _can_be_encoded(value: object, errors: str) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode(errors=errors)
    except UnicodeEncodeError:
        return False
    return True


def is_time(value: object) -> bool:
    """Whether it is a time by ISO 8601 that says its distance from UTC."""
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def is_whole(value: object) -> bool:
    """Whether it is a whole number of 64 bits."""
    return type(value) is int and -LARGEST <= value < LARGEST


def is_count(value: object) -> bool:
    """Whether it is a whole number, 0 or more."""
    return is_whole(value) and value >= 0


def is_amount(value: object) -> bool:
    """Whether it is a finite number, 0 or more."""
    return type(value) in (int, float) and 0 <= value < LARGEST


def are_counts(value: object) -> bool:
    """Whether it is an object of counts by name."""
    return isinstance(value, dict) and all(map(is_text, value)) and all(map(is_count, value.values()))


def are_amounts(value: object) -> bool:
    """Whether it is an object of amounts by name."""
    return isinstance(value, dict) and all(map(is_text, value)) and all(map(is_amount, value.values()))
