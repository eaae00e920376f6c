"""Reads arrays of features that others made, and finds out which axis is what.

(n, D)           one crop
(crops, n, D)    at most ten crops; told from the next by their lengths, or by `--axes`
(n, crops, D)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import ConfigError
from ..recipe import CROPS, MAX_WIDTH
from ..stand_ins import HEAD_BYTES, stand_in

MAGIC = (b"\x93NUMPY", b"PK")  # with which .npy and .npz files begin
AXES = ("crops,snippets", "snippets,crops")
"""The first two axes of an array with crops, as --axes names them."""


def read_array(path: Path, *, expected: str) -> np.ndarray:
    """Read the array of an `.npy` file, or of an `.npz` file that holds one.

    Args:
        path: the file.
        expected: what it should hold, for the message.

    Raises:
        ConfigError: the file holds no array, or several.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if what := stand_in(head):
            raise ConfigError(f"{path}: is {what}")
        if not head.startswith(MAGIC):  # numpy would advise to load it unsafely
            raise ConfigError(f"{path}: cannot be read as an array: it is no .npy or .npz file")
        values = np.load(path, allow_pickle=False)
        if not isinstance(values, np.ndarray):  # .npz
            with values as archive:
                if len(archive.files) != 1:
                    raise ConfigError(f"{path}: holds {len(archive.files)} arrays; expected one, {expected}")
                values = archive[archive.files[0]]
    except ConfigError:
        raise
    except Exception as error:  # garbage in a header comes out as anything from TokenError to MemoryError
        raise ConfigError(f"{path}: cannot be read as an array ({error})") from error
    return values


def read_features(path: Path) -> np.ndarray:
    """Read features: floats of any shape.

    Raises:
        ConfigError: the file holds no such array, or values that are not finite or over float16's range.
    """
    values = read_array(path, expected="(snippets, D)")
    if values.dtype.kind != "f":
        raise ConfigError(f"{path}: holds {values.dtype}; features are floating point numbers")
    if not np.isfinite(values.astype(np.float16)).all():
        raise ConfigError(f"{path}: holds values that are not finite (or over float16's range); make the file again")
    return values


def read_crop(path: Path, width: int) -> np.ndarray:
    """Read the features of one crop, (n, width) floats.

    Raises:
        ConfigError: the file holds none, as `read_features` says, or an array of another shape.
    """
    values = read_features(path)
    if values.ndim != 2 or values.shape[1] != width or not len(values):
        raise ConfigError(f"{path}: expected floats of shape (snippets, {width}), got {values.dtype} {values.shape}")
    return values


def read_crops(path: Path, axes: str | None = None) -> np.ndarray:
    """Read the features of one or several crops, (crops, n, D) floats.

    Args:
        path: the file.
        axes: one of AXES, for arrays with crops; None: their lengths tell.

    Raises:
        ConfigError: the file holds no features, as `read_features` says, or an array whose axes cannot be told.
    """
    values = read_features(path)
    if values.ndim not in (2, 3) or not values.size or values.shape[-1] > MAX_WIDTH:
        raise ConfigError(
            f"{path}: an array of shape {values.shape}; features are (snippets, D), or with crops (crops, snippets, D) "
            f"or (snippets, crops, D), D up to {MAX_WIDTH}"
        )
    if values.ndim == 2:
        return values[None]
    axes = axes or _told_by_lengths(path, values.shape)
    crops_first = values if axes == AXES[0] else values.swapaxes(0, 1)
    if len(crops_first) > len(CROPS):
        raise ConfigError(
            f"{path}: an array of shape {values.shape} with {len(crops_first)} crops, as its axes are {axes},D; "
            f"{len(CROPS)} crops are known"
        )
    return crops_first


def _told_by_lengths(path: Path, shape: tuple[int, ...]) -> str:
    """Which of AXES an array with crops has: more than ten are snippets."""
    if all(length <= len(CROPS) for length in shape[:2]):
        raise ConfigError(
            f"{path}: an array of shape {shape}, in which either of two axes may be crops; say which with --axes "
            f"{' or --axes '.join(AXES)}"
        )
    return AXES[0] if shape[0] <= len(CROPS) else AXES[1]
