"""A video's snippets <-> windows of fixed length.

An example of 6 snippets in windows of 4 (in truth 256), and of the same video pooled into one row for training:

    snippets        s0  s1  s2  s3  s4  s5
    to_windows    [ s0  s1  s2  s3 ]  [ s4  s5  0  0 ]      lengths 4 and 2
    pool          [ s0  (s1 + s2) / 2  s3  (s4 + s5) / 2 ]   edges 0, 1, 3, 4, 6: 6 i / 4, truncated

Shapes: n snippets of a video, B windows, T snippets of a window, D 512 for CLIP ViT-B.
"""

from __future__ import annotations

import numpy as np


def count_windows(n_snippets: int, *, window_len: int) -> int:
    """How many windows n snippets need; the last one has at least one snippet."""
    return -(-n_snippets // window_len)


def to_windows(snippets: np.ndarray, *, window_len: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut a video into consecutive windows, the last one padded with zeros.

    Args:
        snippets: (n, D), n at least 1.
        window_len: T.

    Returns:
        Windows (B, T, D), and how many snippets of each window are no padding, (B,) int64, all at least 1.

    Raises:
        ValueError: `snippets` is not 2-dimensional, or is empty.
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


def trailing_windows(snippets: np.ndarray, ends: np.ndarray, *, window_len: int) -> tuple[np.ndarray, np.ndarray]:
    """Make the windows that end with given snippets, as a stream has them: the last T snippets, or all where there are
    fewer, padded with zeros as those of a short video are.

    Args:
        snippets: (n, D) float.
        ends: (B,) int: the last snippet of each window.
        window_len: T.

    Returns:
        Windows (B, T, D) float32, and how many snippets of each window are no padding, (B,) int64, all at least 1.
    """
    lengths = np.minimum(ends + 1, window_len).astype(np.int64)
    windows = np.zeros((len(ends), window_len, snippets.shape[1]), np.float32)
    for window, end, length in zip(windows, ends, lengths, strict=True):
        window[:length] = snippets[end + 1 - length : end + 1]
    return windows, lengths


def from_windows(windows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Put the windows of a video one after the other again, without their padding.

    Args:
        windows: (B, T, ...), values of snippets.
        lengths: (B,) int, how many snippets of each window are no padding.

    Returns:
        (n, ...), where n is the sum of the lengths.

    Raises:
        ValueError: there are not B lengths, or one is below 0 or above T.
    """
    if lengths.shape != windows.shape[:1] or (lengths > windows.shape[1]).any() or (lengths < 0).any():
        raise ValueError(f"expected {len(windows)} lengths of 0 to {windows.shape[1]}, got {lengths}")
    return windows[np.arange(windows.shape[1]) < lengths[:, None]]


def pool(snippets: np.ndarray, *, window_len: int) -> np.ndarray:
    """Make a row for training: a video of more snippets than a window is averaged down to exactly one window.

    Args:
        snippets: (n, D) float.
        window_len: T.

    Returns:
        `snippets` themselves, (n, D), where n <= T; else (T, D), where position i is the mean of the snippets from
        `n i / T` to `n (i + 1) / T` (half-open), both truncated.
    """
    n = len(snippets)
    if n <= window_len:
        return snippets
    edges = np.linspace(0, n, window_len + 1).astype(np.int64)  # ascending: with n > T no range is empty
    return (np.add.reduceat(snippets, edges[:-1], axis=0) / np.diff(edges)[:, None]).astype(snippets.dtype)
