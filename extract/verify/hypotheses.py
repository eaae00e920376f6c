"""Hypotheses about how features were made: which settings to try next, given the best one so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from ..recipe import CROPS, SNIPPET_LEN
from .settings import CHANNELS, FRAMES, NORMALISED, OFFSETS, SINGLE, SIZES, Setting

CUSTOMARY = {"vadclip": ("bilinear", False), "clip": ("bicubic", True)}  # interpolation, antialias; else as for clip
N_AROUND = SNIPPET_LEN + OFFSETS[-1]  # frames from a row's first on that any setting may use for the row
Place = tuple[str, int]  # geometry and crop


def places(plain: Setting) -> Iterable[Setting]:
    """Settings with every geometry, crop and order of channels, each with and without normalisation."""
    for geometry, crop, channels, normalised in product(SIZES, CROPS, CHANNELS, ("no", "snippets")):
        interpolation, antialias = CUSTOMARY.get(geometry, CUSTOMARY["clip"])
        yield replace(plain, normalised=normalised).with_pixels(
            geometry=geometry, crop=crop, channels=channels, interpolation=interpolation, antialias=antialias
        )


def samples(plain: Setting, rates: Sequence[int | None]) -> list[Setting]:
    """Settings that embed four frames of each snippet, or one of these four alone."""
    spread = replace(plain, frames="mean of 4", offset=0)
    alone = [replace(spread, frames="first", offset=at) for at in spread.positions(SNIPPET_LEN)]
    both = product((spread, *alone), rates, ("no", "snippets"))
    return [replace(sample, rate=rate, normalised=normalised) for sample, rate, normalised in both]


def frame_choices(best: Setting, rates: Sequence[int | None]) -> list[Setting]:
    """Settings that differ in frames, offset, rate and normalisation only, for which no further pixels are embedded."""
    return [
        replace(best, frames=frames, offset=offset, rate=rate, normalised=normalised)
        for frames, offset, rate, normalised in product(FRAMES, OFFSETS, rates, NORMALISED)
        if not (frames in SINGLE and normalised == "frames")  # the same as snippets
    ]


def frame_weights() -> np.ndarray:
    """Weight of each frame around a row in the row's mean, for each choice: (FRAMES, OFFSETS, N_AROUND) float32."""
    weights = np.zeros((len(FRAMES), len(OFFSETS), N_AROUND), np.float32)
    for (i, frames), offset in product(enumerate(FRAMES), OFFSETS):
        positions = np.array(Setting(frames=frames).positions(SNIPPET_LEN)) + offset
        weights[i, offset, positions] = 1 / len(positions)
    return weights


def pixel_choices(best: Setting, near: Iterable[Place], activations: Sequence[str]) -> Iterable[Setting]:
    """Settings that change one step of the pixels; of geometry and crop only the pairs in `near` are tried."""
    resizes = tuple(product(("bilinear", "bicubic"), (False, True)))
    yield from (best.with_pixels(interpolation=how, antialias=antialias) for how, antialias in resizes)
    yield from (best.with_pixels(channels=channels) for channels in CHANNELS)
    yield from (best.with_pixels(activation=activation) for activation in activations)
    for geometry, crop in near:
        own = CUSTOMARY.get(geometry, CUSTOMARY["clip"])
        for how, antialias in {(best.pixels.interpolation, best.pixels.antialias), own}:
            yield best.with_pixels(geometry=geometry, crop=crop, interpolation=how, antialias=antialias)
