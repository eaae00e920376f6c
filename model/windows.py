"""A video's snippets <-> windows of fixed length.

Shapes: n snippets of a video, B windows, T snippets of a window, D 512.
"""

from __future__ import annotations

import numpy as np


def count_windows(n_snippets: int, *, window_len: int) -> int:
    """How many windows n snippets fill; none of them is all padding."""
    return -(-n_snippets // window_len)


def to_windows(snippets: np.ndarray, *, window_len: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut a video into consecutive windows, the last one padded with zeros.

    Args:
        snippets: (n, D), n at least 1.
        window_len: T.

    Returns:
        Windows (B, T, D) and how many snippets of each are real, (B,) int64, all at least 1.

    Raises:
        ValueError: not 2-dimensional, or no snippet.
    """
    if snippets.ndim != 2 or not len(snippets):
        raise ValueError(f"expected snippets of shape (n >= 1, D), got {snippets.shape}")
    n, dim = snippets.shape
    n_windows = count_windows(n, window_len=window_len)
    windows = np.zeros((n_windows, window_len, dim), snippets.dtype)
    windows.reshape(-1, dim)[:n] = snippets
    lengths = np.full(n_windows, window_len, np.int64)
    lengths[-1] = n - (n_windows - 1) * window_len
    return windows, lengths


def from_windows(windows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Undo `to_windows`: padding is dropped, windows follow each other.

    Args:
        windows: (B, T, ...) values per snippet.
        lengths: (B,).

    Returns:
        (n, ...), n the sum of the lengths.

    Raises:
        ValueError: lengths do not fit the windows.
    """
    if lengths.shape != windows.shape[:1] or (lengths > windows.shape[1]).any() or (lengths < 0).any():
        raise ValueError(f"expected {len(windows)} lengths of 0 to {windows.shape[1]}, got {lengths}")
    return windows[np.arange(windows.shape[1]) < lengths[:, None]]


def pool(snippets: np.ndarray, *, window_len: int) -> np.ndarray:
    """A training row: a video longer than a window averaged down to exactly one.

    Args:
        snippets: (n, D) float.
        window_len: T.

    Returns:
        (n, D) as it is where n <= T, else (T, D): position i is the mean of the snippets from `n i / T` to
        `n (i + 1) / T`, both truncated.
    """
    n = len(snippets)
    if n <= window_len:
        return snippets
    edges = np.linspace(0, n, window_len + 1).astype(np.int64)  # ascending: with n > T no range is empty
    return (np.add.reduceat(snippets, edges[:-1], axis=0) / np.diff(edges)[:, None]).astype(snippets.dtype)
