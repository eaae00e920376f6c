"""Still scenes: finds sampled frames that look so much like the last embedded one that they take over its embedding.

The difference of two frames is that of the cell of a coarse grid that differs most, in grey levels of the mean over the
cell (of red, green or blue). So one small person who moves counts as much as a change of the whole picture. A frame is
always compared with the last embedded one, not with the one just before it, so that a slow change is noticed once it
adds up. For example with a bound of 12, and frames that are grey all over:

grey       100   105   111   112   118   124
compared    -    100   100   100   112   112      with the last embedded frame
embedded   yes                yes         yes
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

# these numbers decide what a bound means: changing them changes features, so RECIPE_SCHEMA must be raised then
GRID = 28  # cells a side: 8 x 8 of the 224 x 224 px that CLIP sees
PX_PER_CELL = 8  # pixels a side that are read of each cell; of larger pictures the pixels between them are left out


class StillScenes:
    """Tells which sampled frames of one video must be embedded.

    Args:
        bound: a frame that differs by fewer grey levels from the last embedded one need not be; None: all must be.
    """

    def __init__(self, bound: float | None):
        self._bound = bound
        self._size: tuple[int, ...] | None = None
        self._cells: torch.Tensor | None = None  # of the last frame that was embedded
        self._n_frames = self._n_reused = 0

    @property
    def share(self) -> float | None:
        """Share of the frames so far that need not be embedded; None without a bound."""
        return None if self._bound is None else self._n_reused / max(1, self._n_frames)

    def split(self, frames: Sequence[np.ndarray]) -> tuple[list[np.ndarray], tuple[int, ...]]:
        """Pick the frames that must be embedded.

        Args:
            frames: (H, W, 3) uint8 each: the next sampled frames, as arrays, or as tensors on any device.

        Returns:
            The k frames to embed, and k + 1 numbers that add up to len(frames): how many of `frames` have the embedding
            of the last one embedded before, and then of each of the k.
        """
        if self._bound is None:
            return list(frames), (0, *[1] * len(frames))
        new, counts = [], [0]
        for frame in frames:
            if self._is_new(frame):
                new.append(frame)
                counts.append(0)
            counts[-1] += 1
        self._n_frames += len(frames)
        self._n_reused += len(frames) - len(new)
        return new, tuple(counts)

    def _is_new(self, frame: np.ndarray) -> bool:
        size, cells = tuple(frame.shape), cell_sums(frame)
        if size == self._size and difference(cells, self._cells) < self._bound:
            return False
        self._size, self._cells = size, cells
        return True


def cell_sums(frame: np.ndarray) -> torch.Tensor:
    """Sums over PX_PER_CELL x PX_PER_CELL pixels of each cell of a frame (H, W, 3) uint8: (GRID, GRID, 3) int32.

    Only whole numbers are used, so that every device gives the same.
    """
    side = GRID * PX_PER_CELL
    rows, columns = (np.arange(side) * length // side for length in frame.shape[:2])
    pixels = torch.as_tensor(frame[rows])  # of arrays a copy: theirs may be read-only, of which torch warns
    pixels = pixels.index_select(1, torch.from_numpy(columns).to(pixels.device))
    in_rows = pixels.reshape(GRID, PX_PER_CELL, -1).sum(1, dtype=torch.int32)
    return in_rows.reshape(GRID, GRID, PX_PER_CELL, 3).sum(2, dtype=torch.int32)


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """Difference of two frames by their `cell_sums`: that of the cell that differs most, in grey levels of its mean."""
    return int((a - b).abs().max()) / PX_PER_CELL**2
