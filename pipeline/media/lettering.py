"""Draws text into pictures: in one typeface, light on dark, shortened where it does not fit."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vad_pipeline.extract.errors import readable

INK, GROUND = (255, 255, 255), (0, 0, 0)
MARGIN_PX = 4
LINE_HEIGHT = 1.35  # in font sizes
LEFT_OFF = "\N{HORIZONTAL ELLIPSIS}"


@lru_cache(maxsize=8)
def font(size_px: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans at a size in px. It comes with matplotlib, so it is the same on every machine."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size_px)


def strip(lines: list[str], *, width: int, size_px: int, ground: tuple[int, int, int] = GROUND) -> np.ndarray:
    """Draw lines of text under each other, (H, width, 3) uint8; a line that is too long loses its beginning."""
    height = strip_height(len(lines), size_px)
    image = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        text = fitted(readable(line), width - 2 * MARGIN_PX, size_px)
        draw.text((MARGIN_PX, MARGIN_PX // 2 + round(row * LINE_HEIGHT * size_px)), text, INK, font=font(size_px))
    return np.asarray(image)


def strip_height(n_lines: int, size_px: int) -> int:
    """The height of a `strip` of so many lines, in px; always even."""
    return 2 * round((MARGIN_PX + n_lines * LINE_HEIGHT * size_px) / 2)


def fitted(text: str, width: int, size_px: int) -> str:
    """As much of the end of a text as fits a width in px, after an ellipsis where something was cut off."""
    letters = font(size_px)
    if letters.getlength(text) <= width:
        return text
    kept = text[-width:]  # no letter is narrower than 1 px
    while kept and letters.getlength(LEFT_OFF + kept) > width:
        kept = kept[1:]
    return LEFT_OFF + kept


def clock_text(time: datetime | None, seconds: float) -> str:
    """A time as text: the wall clock where it is known, else the time in the video as `h:mm:ss.s`."""
    if time is not None:
        return time.strftime("%Y-%m-%d %H:%M:%S.") + f"{time.microsecond // 100_000}"
    tenths = round(seconds * 10)
    return f"{tenths // 36000}:{tenths // 600 % 60:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"
