"""Which command makes features of a given recipe, and with which options, for messages that name it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from .recipe import DEFAULT_STILL_BOUND, FILE_WEIGHTS, IMPORTED_WEIGHTS, NAMED_RECIPES, Recipe

SAMPLING = ("geometry", "frames_per_snippet", "tail")  # in which the named recipes differ, and in the model


def command_for(store: Path, recipe: Recipe, crop: int) -> str:
    """The command line that brings features of a recipe and crop into a store."""
    if recipe.weights == IMPORTED_WEIGHTS:
        words = ["vad-pipeline store import LIST.csv --store", str(store), "--encoder", shlex.quote(recipe.model)]
    else:
        words = ["vad-pipeline extract SRC --store", str(store), *extract_options(asdict(recipe), crop)]
    return " ".join(words)


def extract_options(wanted: Mapping[str, str | int | float | None], crop: int) -> list[str]:
    """The words to put after `vad-pipeline extract SRC`, as few as possible.

    Args:
        wanted: fields of a recipe and their values; fields that are not there may have any value. `weights` may be a
            path; weights known by their SHA-256 alone are called FILE. `decoder` is a name in `DECODERS`.
        crop: number of the crop.
    """
    plain = Recipe()
    like = min(NAMED_RECIPES, key=lambda name: len(_differing(NAMED_RECIPES[name].recipe, wanted, "model")))
    words, named = ["--like", like], NAMED_RECIPES[like].recipe
    for name in _differing(named, wanted):
        words += [f"--{name.replace('_', '-')}", str(wanted[name])]
    bound = wanted.get("still_bound")
    if bound is not None:
        words += ["--skip-still", *(["--still-bound", str(bound)] if bound != DEFAULT_STILL_BOUND else [])]
    if wanted.get("zones"):
        words += ["--ignore", "FILE"]
    words += ["--crops", str(crop)]
    if wanted["model"] != named.model:
        words += ["--model", str(wanted["model"])]
    weights = str(wanted["weights"])
    if weights != plain.weights:
        words += ["--pretrained", "FILE" if weights.startswith(FILE_WEIGHTS) else weights]
    if wanted["decoder"] not in ("auto", plain.decoder):
        words += ["--decoder", str(wanted["decoder"])]
    return words


def _differing(named: Recipe, wanted: Mapping, *more: str) -> list[str]:
    return [name for name in (*SAMPLING, *more) if name in wanted and getattr(named, name) != wanted[name]]
