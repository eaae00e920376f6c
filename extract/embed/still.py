"""Still scenes: which sampled frames look so much like the last embedded one that its embedding serves for them too.

Two frames are as far apart as the cells of a coarse grid that differ most, in grey levels of the mean over the cell
(of red, green or blue): one small person who moves counts as much as a change all over. Whatever was reused in between,
a frame is compared with the one whose embedding it would take, so that a slow drift is noticed once it adds up. With a
bound of 12, and frames of one grey all over:

grey       100   105   111   112   118   124
compared    -    100   100   100   112   112      with the last embedded frame
embedded   yes                yes         yes
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

# what a bound means: with other numbers features are others (RECIPE_SCHEMA)
GRID = 28  # cells a side: 8 x 8 of the 224 x 224 px that the tower sees
PX_PER_CELL = 8  # a side, read of each cell: what larger pictures have between them is left out


class StillScenes:
    """Follows one video's sampled frames.

    Args:
        bound: grey levels from which a frame is another picture; None: every frame is.
    """

    def __init__(self, bound: float | None):
        self._bound = bound
        self._size: tuple[int, ...] | None = None
        self._cells: torch.Tensor | None = None  # of the last frame that was embedded
        self._n_frames = self._n_reused = 0

    @property
    def share(self) -> float | None:
        """Of the frames so far, those that were not new; None without a bound."""
        return None if self._bound is None else self._n_reused / max(1, self._n_frames)

    def split(self, frames: Sequence[np.ndarray]) -> tuple[list[np.ndarray], tuple[int, ...]]:
        """The frames to embed, and how many of `frames` each of them stands for.

        Args:
            frames: (H, W, 3) uint8, those that come next; arrays, or tensors wherever they are.

        Returns:
            The new ones, and one number more than these: the first is how many frames stand for the one embedded last
            before them, so that the numbers add up to len(frames).
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
    """(GRID, GRID, 3) int32, sums over PX_PER_CELL x PX_PER_CELL pixels of each cell of a frame (H, W, 3) uint8.

    Whole numbers all the way: the same on every device.
    """
    side = GRID * PX_PER_CELL
    rows, columns = (np.arange(side) * length // side for length in frame.shape[:2])
    pixels = torch.as_tensor(frame[rows])  # of arrays a copy: theirs may be read-only, of which torch warns
    pixels = pixels.index_select(1, torch.from_numpy(columns).to(pixels.device))
    in_rows = pixels.reshape(GRID, PX_PER_CELL, -1).sum(1, dtype=torch.int32)
    return in_rows.reshape(GRID, GRID, PX_PER_CELL, 3).sum(2, dtype=torch.int32)


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest difference of two pictures' cells, in grey levels of their means."""
    return int((a - b).abs().max()) / PX_PER_CELL**2
