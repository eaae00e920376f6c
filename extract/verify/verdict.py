"""Writes what `verify-features` found for people: the best settings, a verdict, and options that make the same."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from ..command_line import extract_options
from ..errors import readable
from ..extractor import Extractor
from ..names import plural
from ..recipe import GEOMETRIES
from .identify import ALIKE

if TYPE_CHECKING:
    from .identify import Identification
    from .released import Fit
    from .settings import Setting

UNLIKE = 0.5  # cosine below which rows show something else
QUICKGELU = "-quickgelu"


def story(video_id: str, found: Identification, extractor: Extractor) -> str:
    """All that was found about one features file, as text of many lines; of two where nothing fits."""
    lines = [f"{video_id} and {readable(found.released)}"]
    if not found.fits:
        cosine = f"the best mean cosine is {found.best[0].cosines.mean():z.3f}"
        return f"{lines[0]}\n  verdict: {found.verdict}: nothing fits ({cosine}): other weights, or another video"
    lines.append(f"  {_rows(found)}")
    lines += [f"  {line}" for line in _table(found)]
    lines.append(f"  verdict: {_verdict(found)}")
    lines += [f"  differs from yours in {name}: yours {mine}, released {theirs}" for name, (mine, theirs) in
              found.differing.items()]  # fmt: skip
    if found.unsettled:
        fits = "; ".join(f"{name} {', '.join(values)}" for name, values in found.unsettled.items())
        lines.append(f"  not settled by this video, fits as well: {fits}")
    if found.n_released not in found.n_own:
        lines.append(
            "  the numbers of rows differ: the file or the video was cut, or frames were left out in a way not tried"
        )
    parted = _parting(found)
    lines += [f"  {parted}"] if parted else []
    lines.append(f"  {_how_to_extract(found, extractor)}")
    return "\n".join(lines)


def verdict_line(verdicts: list[str]) -> str:
    """Count verdicts in one line: `12 files: 10 identical, 2 something else`."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in Counter(verdicts).most_common())
    return f"{plural(len(verdicts), 'file')}: {counts or 'none compared'}"


def _rows(found: Identification) -> str:
    drop, keep = found.n_own
    own = f"{drop}" if drop == keep else f"{drop} (tail drop) or {keep} (keep)"
    rounded = ", all of them float16 values" if found.is_float16 else ""
    return (
        f"{plural(found.n_released, 'released row')}{rounded}; the best setting gives {own}; {len(found.rows)} compared"
    )


def _table(found: Identification) -> list[str]:
    """A table of your setting and the best five: mean and worst cosine, error, and what differs from yours."""
    lines = [f"{'':5}  mean cosine  worst cosine  error    setting"]
    mine = found.yours.setting if found.yours else found.best[0].setting
    if found.yours:
        lines.append(_row("yours", found.yours, _in_words(mine.steps())))
    for rank, each in enumerate(found.best, 1):
        lines.append(_row(f"{rank:5}", each, _changes(each.setting, mine)))
    return lines


def _row(name: str, each: Fit, words: str) -> str:
    return f"{name}  {each.cosines.mean():z11.6f}  {each.cosines.min():z12.6f}  {each.error:7.5f}  {words}"


def _changes(setting: Setting, mine: Setting) -> str:
    theirs, own = setting.steps(), mine.steps()
    return _in_words({name: value for name, value in theirs.items() if value != own[name]}) or "as yours"


def _in_words(steps: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in steps.items())


def _verdict(found: Identification) -> str:
    error = found.best[0].error
    why = {
        "identical": f"all values of the {plural(len(found.rows), 'row')} compared are the same in float16",
        "same up to rounding": (
            f"error {error:.2g}; rounding the weights to float16 alone makes {found.rounding_error:.2g}"
        ),
        "same protocol, other decoder": (
            f"or another copy of the video: error {error:.2g}, and encoding this video once more makes "
            f"{found.noise_error:.2g}; what is left is below the video's own noise"
        ),
        "something else": (
            f"error {error:.2g}, encoding this video once more makes only {found.noise_error:.2g}: other weights, "
            "another video, or a step that is not among those tried"
        ),
    }
    return f"{found.verdict} ({why[found.verdict]})"


def _parting(found: Identification) -> str:
    """A sentence on the first row from which own and released features are unlike; empty where they agree all along,
    or nowhere."""
    cosines, best = found.best[0].cosines, found.best[0]
    unlike = np.flatnonzero(cosines < UNLIKE)
    if best.equal or not len(unlike) or cosines.max() < ALIKE:
        return ""
    first = int(unlike[0])
    where = f"row {found.rows[first]} ({found.row_seconds[first]:.1f} s)"
    if (cosines[:first] >= ALIKE).all() and (cosines[first:] < ALIKE).all() and first:
        return f"they agree before {where} and part from there: frames were lost or cut there in one of the copies"
    return f"they part in {len(unlike)} of {plural(len(cosines), 'row')}, first in {where}"


def _how_to_extract(found: Identification, extractor: Extractor) -> str:
    best = found.best[0].setting
    beyond = best.beyond_extract()
    model = _model_for(best, extractor)
    if model is None:
        beyond.append("activation")
    options = _command(best, found, model=model or extractor.encoder_config.model, extractor=extractor)
    if beyond:
        return f"extract has no option for {', '.join(beyond)}; nearest: {options}"
    return f"to make the same: {options}"


def _model_for(best: Setting, extractor: Extractor) -> str | None:
    """Value of `--model` that has the activation found; None where open_clip has no such model."""
    model = extractor.encoder_config.model
    if best.pixels.activation == extractor.encoder.activation:
        return model
    other = model.removesuffix(QUICKGELU) if model.endswith(QUICKGELU) else model + QUICKGELU
    import open_clip

    return other if other in open_clip.list_models() else None


def _command(best: Setting, found: Identification, *, model: str, extractor: Extractor) -> str:
    """The command that makes features by the setting found, or by the nearest one that `extract` can do."""
    drop, keep = found.n_own
    config = extractor.config
    wanted = {
        "geometry": best.pixels.geometry if best.pixels.geometry in GEOMETRIES else "vadclip",
        "frames_per_snippet": best.frames_per_snippet,
        "model": model,
        "weights": config.pretrained,
        "decoder": config.decoder,
    }
    if drop != keep:  # else this video does not tell
        wanted["tail"] = "keep" if found.n_released >= keep else "drop"
    return shlex.join(["vad-pipeline", "extract", "VIDEO", *extract_options(wanted, best.pixels.crop)])
