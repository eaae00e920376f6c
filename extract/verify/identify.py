"""Finds the setting by which released features were made: tries the likeliest first, then those around the best.

    pixels on one frame a snippet  ->  which frames  ->  resize in detail  ->  around the best  ->  on more rows

Embeddings are reused: trying another choice of frames embeds nothing new, trying other pixels embeds each frame once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from ..decode.reader import Reader, drained
from ..embed.encoder import ACTIVATIONS, ClipEncoder
from ..errors import ConfigError
from ..recipe import SNIPPET_LEN
from ..records import VideoInfo
from .hypotheses import N_AROUND, Place, frame_choices, frame_weights, pixel_choices, places, samples
from .reencode import reencoded
from .released import Fit, Probe, Released, distance, keep_frames
from .settings import FRAMES, NORMALISED, OFFSETS, RATES, Setting, converted, n_rows

ROWS_SEARCHED, ROWS_COMPARED = 4, 8
KEPT_BYTES = 2 << 30  # of decoded frames in memory; where frames are too large for that fewer rows are compared
FEWEST_ROWS, FEWEST_STILL = 2, 1
N_PLACES, N_STARTS = 10, 3  # how many pixel settings are looked at more closely, and how many the search goes on from
CLEAR = 0.25  # error with one frame a snippet above which the choice of frames must matter too
N_NEAR = 6  # how many pairs of geometry and crop are tried again once the frames are known
MAX_ROUNDS = 4
N_FINALISTS, N_REPORTED = 8, 5
N_NEAREST, FAR = 60, 1.5  # how many choices of frames are tried exactly, and up to how many times the least error
SPARE_ROWS, SPARE_SHARE = 1, 0.01  # decoders may disagree on a video's last frames
AS_GOOD = 1.25  # times the best setting's error, up to which a setting cannot be told apart from it
ROUNDING_FACTOR = 4  # times the error of rounding the weights to float16, as activations are rounded too
NOISE_FACTOR = 2  # times the error of encoding the video once more
ALIKE = 0.9  # cosine from which rows agree
VERDICTS = ("identical", "same up to rounding", "same protocol, other decoder", "something else")


@dataclass(frozen=True, slots=True)
class Identification:
    """What was found about one features file."""

    released: Path
    verdict: str
    """One of VERDICTS."""
    best: tuple[Fit, ...]
    """The best five settings, best first; of those that this video cannot tell apart only one."""
    yours: Fit | None
    """How well the setting of your own features fits; None where the video has no such rows."""
    unsettled: dict[str, list[str]]
    """Step -> other values of it that fit this video as well."""
    rows: tuple[int, ...]
    """Indices of the rows that were compared."""
    row_seconds: tuple[float, ...]
    """When each of these rows begins in the video."""
    n_released: int
    """How many rows the file has."""
    n_own: tuple[int, int]
    """How many rows the best setting gives with tail drop and with tail keep."""
    is_float16: bool
    """Whether all values of the file are float16 values."""
    rounding_error: float
    """How far rounding the weights to float16 moves the embeddings, as `Fit.error`."""
    noise_error: float
    """How far encoding the video once more (H.264, CRF 23) moves the embeddings, as `Fit.error`."""

    @property
    def fits(self) -> bool:
        """Whether any row comes near by any setting; where none does, the best setting says nothing."""
        return self.verdict != VERDICTS[-1] or bool((self.best[0].cosines >= ALIKE).any())

    @property
    def differing(self) -> dict[str, tuple[str, str]]:
        """Step -> (value in your setting, value in the best setting), where these differ."""
        if self.yours is None:
            return {}
        mine, found = self.yours.setting.steps(), self.best[0].setting.steps()
        return {name: (mine[name], found[name]) for name in mine if mine[name] != found[name]}


def identify(
    open_reader: Callable[[], Reader],
    released: Released,
    yours: Setting,
    encoder: ClipEncoder,
    *,
    likely: Sequence[Setting] = (),
    on_images: Callable[[int], None] = lambda n: None,
) -> Identification:
    """Find the setting by which a video gives released features.

    Args:
        open_reader: opens the video; called twice: frames are counted before some of them are kept.
        released: the released features.
        yours: the setting of your own features, which is tried first.
        encoder: the tower in fp32, with the weights that the features are believed to be made with.
        likely: settings that fitted other files, which are tried next.
        on_images: called now and then with how many pictures were embedded.

    Raises:
        VideoError: the video cannot be decoded.
        ConfigError: the file has more rows than the video can have.
    """
    info = drained(open_reader())
    rates = _possible_rates(released, info, yours)
    end = max(1, (min(len(converted(info.frame_seconds, rate)) for rate in rates) - OFFSETS[-1]) // SNIPPET_LEN)
    n_compared, n_still = _affordable_rows(info, len({yours.rate, *rates}))
    rows = released.most_changing(n_compared, end)
    still_rows = released.stillest(n_still, end)
    kept = _kept(open_reader, info, {yours.rate, *rates}, {*rows, *still_rows})
    probe = Probe(kept, info, encoder, on_images=on_images)
    few = np.unique(np.linspace(0, len(rows) - 1, min(ROWS_SEARCHED, len(rows))).round().astype(int))
    changing = _Trials(probe, released, [rows[i] for i in few], yours)
    _search(changing, _Trials(probe, released, still_rows, yours), [yours, *likely], rates)
    finalists = [each.setting for each in changing.distinct(N_FINALISTS)]
    fits = [found for setting in finalists if (found := probe.fit(setting, released, rows))]
    best = sorted(fits, key=changing.preference)
    noise_error, rounding_error = (0.0, 0.0) if best[0].equal else _own_noise(probe, best[0], released, rows)
    verdict = _verdict(best[0], rounding_error, noise_error)
    shown = probe.shown(best[0].setting.rate)
    firsts = [probe.frames_of(replace(best[0].setting, frames="first"), row)[0] for row in rows]
    return Identification(
        released=released.path,
        verdict=verdict,
        best=tuple(best[:N_REPORTED]),
        yours=probe.fit(yours, released, rows),
        unsettled=changing.unsettled(best[0].setting),
        rows=rows,
        row_seconds=tuple(float(info.frame_seconds[first]) for first in firsts),
        n_released=len(released.values),
        n_own=n_rows(best[0].setting, shown),
        is_float16=released.is_float16,
        rounding_error=rounding_error,
        noise_error=noise_error,
    )


class _Trials:
    """The settings tried on some rows, and how well each fits."""

    def __init__(self, probe: Probe, released: Released, rows: Sequence[int], yours: Setting):
        self.probe, self._released, self.rows, self._yours = probe, released, rows, yours
        self.theirs = released.values[list(rows)]
        self.fits: dict[Setting, Fit] = {}

    @property
    def best(self) -> Fit:
        """The setting that fits best so far."""
        return min(self.fits.values(), key=self.preference)

    def preference(self, each: Fit) -> tuple[float, int]:
        """Sort key of a fit, smaller is better: its error, then in how many steps it differs from your setting."""
        mine, theirs = self._yours.steps(), each.setting.steps()
        return each.error, sum(mine[name] != theirs[name] for name in mine)

    def add(self, settings: Iterable[Setting]) -> None:
        """Try settings; the pictures of all of them are embedded in common batches."""
        new = [setting for setting in dict.fromkeys(settings) if setting not in self.fits]
        self.probe.embed((s.pixels, int(n)) for s in new for row in self.rows for n in self.probe.frames_of(s, row))
        for setting in new:
            found = self.probe.fit(setting, self._released, self.rows)
            if found is not None:
                self.fits[setting] = found

    def distinct(self, n: int) -> list[Fit]:
        """The best `n` settings that the rows can tell apart."""
        found: dict[tuple, Fit] = {}
        for each in sorted(self.fits.values(), key=self.preference):
            found.setdefault(self.probe.looks(each.setting, self.rows), each)
            if len(found) == n:
                break
        return list(found.values())

    def nearest_places(self, n: int) -> list[Place]:
        """The `n` best pairs of geometry and crop, each judged by the best setting that was tried with it."""
        errors: dict[Place, float] = {}
        for setting, each in self.fits.items():
            place = (setting.pixels.geometry, setting.pixels.crop)
            errors[place] = min(each.error, errors.get(place, np.inf))
        return sorted(errors, key=errors.get)[:n]

    def unsettled(self, best: Setting) -> dict[str, list[str]]:
        """Step -> values that fit as well when only this step of the best setting is changed to them."""
        steps, limit = best.steps(), AS_GOOD * self.fits[best].error
        found: dict[str, list[str]] = {}
        for setting, each in self.fits.items():
            changed = [(name, value) for name, value in setting.steps().items() if value != steps[name]]
            if len(changed) == 1 and each.error <= limit:
                found.setdefault(changed[0][0], []).append(changed[0][1])
        return found


def _search(changing: _Trials, still: _Trials, first: Sequence[Setting], rates: Sequence[int | None]) -> None:
    """Try settings until none around the best is better.

    Where a video stands still it does not matter which frames were taken. So the pixels are found out there first.
    """
    changing.add(first)
    if changing.fits and changing.best.equal:
        embedded = [
            each for each in frame_choices(changing.best.setting, rates) if changing.probe.has(each, changing.rows)
        ]
        changing.add(embedded)  # something to compare with
        return
    yours = first[0]
    plain = yours.with_pixels(precision="fp32")
    activations = ACTIVATIONS if yours.pixels.activation else ("",)
    _look_around(still, plain, rates, activations)
    starts = still.distinct(1 if still.best.error <= CLEAR else N_STARTS)
    for start in starts:
        changing.add(_best_frames(changing, start.setting, rates))
    for _ in range(MAX_ROUNDS):
        best = changing.best.setting
        changing.add(pixel_choices(best, still.nearest_places(N_NEAR), activations))
        changing.add(changing.best.setting.with_pixels(precision=how) for how in {"fp32", yours.pixels.precision})
        changing.add(_best_frames(changing, changing.best.setting, rates))
        if changing.best.setting == best:
            return


def _look_around(still: _Trials, plain: Setting, rates: Sequence[int | None], activations: Sequence[str]) -> None:
    """Try the pixels on still rows.

    Geometry, crop and channels are tried with one frame a snippet, and with other frames where that is not clear; then
    activation and antialias at the best of them; then geometry, crop and channels again.
    """
    middle = [replace(plain, frames="middle", offset=0, rate=rate) for rate in rates]
    still.add(place for sample in middle for place in places(sample))
    if still.best.error > CLEAR:  # it never stands still: which frame matters, too
        near = [each.setting.pixels for each in still.distinct(N_PLACES)]
        still.add(replace(sample, pixels=pixels) for sample in samples(plain, rates) for pixels in near)
    still.add(
        each.setting.with_pixels(activation=activation, antialias=antialias)
        for each in still.distinct(N_STARTS)
        for activation, antialias in product(activations, (False, True))
    )
    still.add(places(still.best.setting))


def _best_frames(trials: _Trials, best: Setting, rates: Sequence[int | None]) -> list[Setting]:
    """The choices of frames that come nearest, found by one product of frame weights and embeddings for all choices."""
    choices = frame_choices(best, rates)
    weights = frame_weights()
    errors: dict[tuple, np.ndarray] = {}
    for rate in rates:
        around = trials.probe.around(best.pixels, rate, trials.rows, N_AROUND)
        if around is None:  # a short video: there is not much to try
            return choices
        lengths = np.linalg.norm(around, axis=-1, keepdims=True)
        for normalised in NORMALISED:
            own = np.einsum("fop,rpd->ford", weights, around / lengths if normalised == "frames" else around)
            if normalised == "snippets":
                own /= np.linalg.norm(own, axis=-1, keepdims=True)
            errors[rate, normalised] = np.linalg.norm(own - trials.theirs, axis=(-2, -1))
    found = np.array([errors[each.rate, each.normalised][FRAMES.index(each.frames), each.offset] for each in choices])
    nearest = np.argsort(found, kind="stable")[:N_NEAREST]
    return [choices[i] for i in nearest if found[i] <= FAR * found[nearest[0]] or i in nearest[:N_FINALISTS]]


def _possible_rates(released: Released, info: VideoInfo, yours: Setting) -> tuple[int | None, ...]:
    """The frame rates at which the video has about as many rows as the file, or else the rate that comes nearest.

    Raises:
        ConfigError: no rate gives as many rows.
    """
    n = len(released.values)
    spare = SPARE_ROWS + int(SPARE_SHARE * n)
    apart: dict[int | None, int] = {}
    longest = 0
    for rate in dict.fromkeys((None, yours.rate, *RATES)):
        shown = converted(info.frame_seconds, rate)
        if rate is not None and np.array_equal(shown, converted(info.frame_seconds, None)):
            continue  # the video has that rate
        fewest = n_rows(Setting(offset=OFFSETS[-1]), shown)[0]
        most = n_rows(Setting(), shown)[1]
        longest = max(longest, most)
        apart[rate] = max(fewest - n, n - most, 0)
    if n > longest + spare:
        raise ConfigError(
            f"{released.path}: has {n} rows, the video's {len(info.frame_seconds)} frames give {longest} at most; "
            "is it another video's file?"
        )
    fitting = tuple(rate for rate, rows in apart.items() if rows <= spare)
    return fitting or (min(apart, key=apart.get),)


def _affordable_rows(info: VideoInfo, n_rates: int) -> tuple[int, int]:
    """How many rows are compared, and how many still rows are looked at before, within KEPT_BYTES of memory."""
    row_bytes = info.width * info.height * 3 * 2 * SNIPPET_LEN * n_rates
    n = min(ROWS_COMPARED + ROWS_SEARCHED, KEPT_BYTES // row_bytes)
    n_still = max(FEWEST_STILL, n * ROWS_SEARCHED // (ROWS_COMPARED + ROWS_SEARCHED))
    return max(FEWEST_ROWS, n - n_still), n_still


def _kept(
    open_reader: Callable[[], Reader], info: VideoInfo, rates: Iterable[int | None], rows: Sequence[int]
) -> dict[int, np.ndarray]:
    """Decode the video and keep the frames that any setting may use for these rows."""
    spans = [
        converted(info.frame_seconds, rate)[row * SNIPPET_LEN : (row + 2) * SNIPPET_LEN]
        for rate in rates
        for row in rows
    ]
    with contextlib.closing(open_reader()) as reader:
        return keep_frames(reader, {int(number) for span in spans for number in span})


def _own_noise(probe: Probe, best: Fit, released: Released, rows: Sequence[int]) -> tuple[float, float]:
    """How far encoding the video once more moves these rows, and how far rounding does, as `Fit.error`."""
    own = probe.rows(best.setting, rows)
    pixels = best.setting.pixels
    encoder = probe.encoder(pixels.activation, pixels.precision)
    numbers = sorted({int(number) for row in rows for number in probe.frames_of(best.setting, row)})
    again = Probe(reencoded(probe.frames), probe.info, encoder)
    rounded = Probe({number: probe.frames[number] for number in numbers}, probe.info, encoder.with_half_weights())
    noise = distance(again.rows(best.setting, rows), own, released, rows)
    stored = distance(own.astype(np.float16), own, released, rows)
    return noise, float(np.hypot(distance(rounded.rows(best.setting, rows), own, released, rows), stored))


def _verdict(best: Fit, rounding_error: float, noise_error: float) -> str:
    if best.equal:
        return VERDICTS[0]
    if best.error <= ROUNDING_FACTOR * rounding_error:
        return VERDICTS[1]
    return VERDICTS[2] if best.error <= NOISE_FACTOR * noise_error else VERDICTS[3]
