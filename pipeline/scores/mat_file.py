"""Reads the one array of numbers in a MATLAB file, as a stranger's file is read: in a process of its own."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from vad_pipeline.extract.errors import ConfigError, how_to_add, shown
from vad_pipeline.extract.names import some
from vad_pipeline.extract.store.own_process import read_apart

MAT = ".mat"
NUMBERS = "fiub"  # kinds of NumPy types


def read_mat(path: Path) -> np.ndarray:
    """Read the array of a MATLAB file, of version 7.3 (which is HDF5) or, with SciPy, of 4 to 7.

    Raises:
        ConfigError: the file cannot be read, holds no or several arrays, or SciPy is needed and not installed.
    """
    try:
        found = read_apart([path], _arrays, path)
    except (ConfigError, OSError):
        raise
    except Exception as error:  # damage comes out as anything
        raise ConfigError(f"{path}: cannot be read as a MATLAB file ({shown(str(error), 200)})") from error
    if len(found) != 1:
        there = f" ({some(sorted(found))})" if found else ""
        raise ConfigError(f"{path}: holds {len(found)} arrays of numbers{there}; expected one, the scores")
    return next(iter(found.values()))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of numbers in the file by their variables' names, in MATLAB's order of dimensions."""
    if h5py.is_hdf5(path):
        with h5py.File(path, "r", locking=False) as file:
            own = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
            nodes = {name: file[name] for name in own if isinstance(file[name], h5py.Dataset)}
            return {name: node[()].T for name, node in nodes.items() if node.dtype.kind in NUMBERS}
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ConfigError(
            f"{path}: is of a version before MATLAB's 7.3, which needs a package: {how_to_add('mat')}; or save it with "
            "`save -v7.3`"
        ) from error
    return {
        name: values
        for name, values in loadmat(path).items()
        if not name.startswith("__") and isinstance(values, np.ndarray) and values.dtype.kind in NUMBERS
    }
