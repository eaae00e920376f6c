"""Draws the contact sheet of an event: frames evenly over it, time and score under each, a frame around its peak."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image

from vad_pipeline.extract.files import write_bytes
from vad_pipeline.extract.names import plural
from vad_pipeline.model.curve import AnomalyCurve

from ..media.footage import Footage
from ..media.lettering import clock_text, strip
from ..results.event_rows import HeldEvent
from ..results.run_settings import RunSettings
from .cutting import evenly

SHEET_SUFFIX = ".png"
N_FRAMES, N_COLUMNS = 12, 4
CELL_WIDTH_PX, LETTERS_PX, GAP_PX = 320, 14, 4
BORDER_PX, PEAK_COLOUR = 4, (230, 60, 40)


def write_sheet(path: Path, footage: Footage, curve: AnomalyCurve, held: HeldEvent, settings: RunSettings) -> None:
    """Draw the contact sheet of an event and write it; the same frames give the same bytes.

    Args:
        path: the PNG.
        footage: the footage of the event's video.
        curve: the curve of that video.
        held: the event.
        settings: the settings of the results folder.

    Raises:
        VideoError: the footage does not give the frames.
        StoreError: the file cannot be written.
    """
    event = held.event
    numbers = evenly(event.start_frame, event.end_frame, N_FRAMES, peak=event.peak_frame)
    cells = []
    for number, frame in zip(numbers, footage.frames_at(numbers), strict=True):
        width, height = frame.size_px
        pixels = frame.rgb((CELL_WIDTH_PX, max(1, round(height * CELL_WIDTH_PX / width)))).copy()
        if number == event.peak_frame:
            _frame(pixels)
        mark = "peak " if number == event.peak_frame else ""
        text = f"{time_at(curve, number, settings)}  {mark}{curve.scores[number]:.3f}"
        cells.append(np.concatenate([pixels, strip([text], width=CELL_WIDTH_PX, size_px=LETTERS_PX)]))
    score = f"peak {settings.score_name} {event.peak_score:.3f}"
    title = f"{event.category}, {score}, {time_at(curve, event.start_frame, settings)}, {len(numbers)} of its "
    grid = _grid(cells)
    lines = [held.event_id, f"{title}{plural(event.end_frame - event.start_frame, 'frame')}"]
    sheet = np.concatenate([strip(lines, width=grid.shape[1], size_px=LETTERS_PX + 2), grid])
    data = io.BytesIO()
    Image.fromarray(sheet).save(data, format="PNG")
    write_bytes(path, data.getvalue())


def time_at(curve: AnomalyCurve, frame: int, settings: RunSettings) -> str:
    """The time of a frame as text: the wall clock where the video's id states it, else the time in the video."""
    seconds = float(curve.frame_seconds[frame])
    reading = settings.reading(curve.video_id)
    return clock_text(reading and reading.at(seconds), seconds)


def _frame(pixels: np.ndarray) -> None:
    """Draw a frame around the picture of the peak, into `pixels`."""
    for side in (np.s_[:BORDER_PX], np.s_[-BORDER_PX:], np.s_[:, :BORDER_PX], np.s_[:, -BORDER_PX:]):
        pixels[side] = PEAK_COLOUR


def _grid(cells: list[np.ndarray]) -> np.ndarray:
    """Put cells into rows; a cell of another size than the first (streams may change size) is cut or filled up."""
    height = cells[0].shape[0]
    n_rows, n_columns = math.ceil(len(cells) / N_COLUMNS), min(N_COLUMNS, len(cells))
    grid = np.zeros((n_rows * (height + GAP_PX), n_columns * (CELL_WIDTH_PX + GAP_PX) - GAP_PX, 3), np.uint8)
    for place, cell in enumerate(cells):
        top, left = place // N_COLUMNS * (height + GAP_PX), place % N_COLUMNS * (CELL_WIDTH_PX + GAP_PX)
        cell = cell[:height]
        grid[top : top + len(cell), left : left + CELL_WIDTH_PX] = cell
    return grid
