"""`watch`: takes in what all cameras send, embeds it together, scores it, and keeps a results folder up to date."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import numpy as np
import torch

from vad_pipeline.extract.embed.embed_video import mean_of_snippet
from vad_pipeline.extract.embed.encoder import ClipEncoder
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.names import plural
from vad_pipeline.extract.recipe import Recipe

from ..archive.metrics_file import MetricsFile
from ..results.event_rows import put_events, rows_of
from ..results.event_rule import EventRule
from ..stopping import stopping_between_steps
from .camera import Camera
from .messages import Began, Ended, Finished, Lost, Message, Opened, Snippet
from .part import Part, Scoring
from .source import TIMEOUT_SECONDS, Source

ID_FORM = "%Y-%m-%d/%H-%M-%S%z"
CLOCK_PATTERN = "{camera}/" + ID_FORM
GATHER_SECONDS = 0.1  # how long a batch that is not full waits for other cameras' snippets
SYNC_SECONDS = 2.0  # so much is lost at most by a kill
EVENT_SECONDS = 5.0  # between two writings of a curve whose events have changed
CURVE_SECONDS = 60.0  # between two writings of a curve whose events have not
SPARE = 0.8  # share of what the machine does that cameras may need


@dataclass(frozen=True, slots=True)
class Watching:
    """What is watched, by what, and where to."""

    sources: Sequence[Source]
    results: Path
    recipe: Recipe
    encoder: ClipEncoder
    scoring: Scoring
    rule: EventRule
    zone: ZoneInfo
    """Of the dates in ids."""
    crop: int
    quiet: bool = False


@dataclass(slots=True)
class _State:
    """What is known of one camera."""

    source: Source
    camera: Camera
    part: Part | None = None
    last: np.ndarray | None = None
    """(1, D): embedding of the last frame that was embedded."""
    rows: list[dict] = field(default_factory=list)
    """Events of the part as they were last written."""
    written: float = 0.0
    """When its curve was last written, by the monotonic clock."""


@dataclass(slots=True)
class Summary:
    """What a run of `watch` came to."""

    n_snippets: int = 0
    n_lost: int = 0
    """How often a camera had to be tried again."""
    n_videos: int = 0


class Watcher:
    """Keeps a results folder up to date with what cameras send.

    Args:
        watching: what is watched.
        on_events: called once events have changed.
        metrics: where figures of the cameras go; None: nowhere.
    """

    def __init__(self, watching: Watching, on_events: Callable[[], None], metrics: MetricsFile | None = None):
        self._watching, self.summary, self._on_events, self._metrics = watching, Summary(), on_events, metrics
        self._sent: queue.Queue[Message] = queue.Queue()
        self._states = {
            source.name: _State(source, Camera(source, watching.recipe, watching.crop, self._sent))
            for source in watching.sources
        }
        self._needed: dict[str, float] = {}  # images/s by camera
        self._rate: float | None = None
        self._synced = time.monotonic()

    def run(self, beat: Callable[[], None]) -> Summary:
        """Watch until all sources have ended or a signal arrives; what has come in by then is scored and written.

        Args:
            beat: called every second or so.

        Raises:
            ConfigError: the machine cannot keep up with the cameras.
            StoreError: the results cannot be written.
        """
        running = set(self._states)
        for state in self._states.values():
            state.camera.start()
        deadline = None
        with stopping_between_steps() as stop:
            while running and (deadline is None or time.monotonic() < deadline):
                if stop.asked and deadline is None:
                    deadline = time.monotonic() + TIMEOUT_SECONDS + 2
                    self._stop_cameras()
                try:
                    running -= self._take(self._gathered())
                    self._keep(beat)
                except BaseException:
                    self._stop_cameras()
                    raise
        for state in self._states.values():
            self._end(state, ())  # of a camera that does not let go
        return self.summary

    def _stop_cameras(self) -> None:
        for state in self._states.values():
            state.camera.stop()

    def _gathered(self) -> list[Message]:
        """The next messages: as many snippets as fill a batch, or those of the next moments."""
        messages, n_images, until = [], 0, time.monotonic() + 1.0
        while n_images < self._watching.encoder.batch_size:
            try:
                message = self._sent.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            messages.append(message)
            if isinstance(message, Snippet):
                self._states[message.camera].camera.taken()
                n_images += len(message.images)
                until = min(until, time.monotonic() + GATHER_SECONDS)
        return messages

    def _take(self, messages: Sequence[Message]) -> set[str]:
        """Embed the snippets among the messages together, then do what each asks for; return who has finished."""
        rows = self._embedded([each for each in messages if isinstance(each, Snippet)])
        finished = set()
        for message in messages:
            state = self._states[message.camera]
            match message:
                case Snippet():
                    self._score(state, message, rows)
                case Began():
                    self._begin(state, message)
                case Ended():
                    self._end(state, message.times)
                case Opened():
                    self._opened(message)
                case Lost():
                    self._lost(message)
                case Finished():
                    if message.error:
                        raise message.error
                    finished.add(message.camera)
        return finished

    def _embedded(self, snippets: Sequence[Snippet]):
        """Embed the frames of snippets, in full batches: an iterator of (1, D) float32, in their order."""
        images = [snippet.images.flatten(0, 1) for snippet in snippets if len(snippet.images)]
        if not images:
            return iter(())
        every, size = torch.cat(images), self._watching.encoder.batch_size
        parts = [self._watching.encoder.encode(every[at : at + size]) for at in range(0, len(every), size)]
        return iter(np.concatenate(parts)[:, None])

    def _score(self, state: _State, snippet: Snippet, rows) -> None:
        """Score a snippet, whose frames' embeddings are the next of `rows`."""
        last = np.zeros((1, self._watching.recipe.width), np.float32) if state.last is None else state.last
        own = (next(rows) for _ in snippet.counts[1:])
        mean, state.last = mean_of_snippet(snippet.counts, own, last)
        state.part.add(mean[0], snippet.times)
        self.summary.n_snippets += 1
        if self._metrics:
            self._metrics.add("snippets_total", snippet.camera, 1)
            if state.source.is_live:
                self._metrics.put("lag_seconds", snippet.camera, max(0.0, time.time() - snippet.times[-1]))

    def _begin(self, state: _State, began: Began) -> None:
        second = float(int(began.began))
        moment = datetime.fromtimestamp(second, self._watching.zone)
        video_id = f"{state.source.name}/{moment.strftime(ID_FORM)}"
        state.part = Part(self._watching.scoring, video_id, second, began.fps)
        state.rows, state.written, state.last = [], time.monotonic(), None
        self.summary.n_videos += 1

    def _end(self, state: _State, times: tuple[float, ...]) -> None:
        """Finish the camera's video: score its last snippets, write its curve and events."""
        part, state.part = state.part, None
        if part is None:
            return
        part.end(times)
        self._write(state, part, is_over=True)
        part.close()

    def _opened(self, opened: Opened) -> None:
        self._tell(f"{opened.camera}: {opened.width}x{opened.height} px at {float(opened.fps):g} frames/s")
        if self._metrics:
            self._metrics.put("receiving", opened.camera, 1)
            self._metrics.add("reconnects_total", opened.camera, 0)
        recipe = self._watching.recipe
        if self._states[opened.camera].source.is_live:
            self._needed[opened.camera] = float(opened.fps) / recipe.snippet_len * recipe.frames_per_snippet
            self._refuse_too_much()

    def _refuse_too_much(self) -> None:
        """Refuse cameras that need more than the machine does.

        Raises:
            ConfigError: they do.
        """
        if self._rate is None:
            self._rate = self._watching.encoder.measure_rate()
        needed = sum(self._needed.values())
        if needed > SPARE * self._rate:
            raise ConfigError(
                f"{plural(len(self._needed), 'camera')} need {needed:.1f} pictures/s embedded, as the checkpoint's "
                f"recipe has it; this machine does {self._rate:.1f}, of which {SPARE:.0%} may be needed: give it fewer "
                "cameras, lower their frame rate, or take a checkpoint of the recipe `quick` (1/16 of `vadclip`'s work)"
            )

    def _lost(self, lost: Lost) -> None:
        again = lost.again_in_seconds
        self.summary.n_lost += again is not None
        if self._metrics:
            self._metrics.put("receiving", lost.camera, 0)
            self._metrics.add("reconnects_total", lost.camera, again is not None)
        self._tell(f"{lost.camera}: {lost.why}" + (f"; tried again in {again:g} s" if again is not None else ""))

    def _keep(self, beat: Callable[[], None]) -> None:
        """Write what is due: journals, curves, events."""
        now = time.monotonic()
        if now - self._synced < SYNC_SECONDS:
            return
        self._synced = now
        beat()
        for state in self._states.values():
            if state.part is not None:
                state.part.sync()
                if now - state.written >= EVENT_SECONDS:
                    self._write(state, state.part, is_over=False)

    def _write(self, state: _State, part: Part, *, is_over: bool) -> None:
        """Write a camera's curve and events, where they have changed or the curve has not been written for long."""
        curve = part.curve()
        if curve is None:
            return
        rows, _ = rows_of(curve, self._watching.rule)
        if not is_over and rows == state.rows and time.monotonic() - state.written < CURVE_SECONDS:
            return
        part.write(curve)
        if rows != state.rows:
            put_events(self._watching.results, curve.video_id, [dict(row) for row in rows])
            self._on_events()
        for row in rows[len(state.rows) :]:
            self._tell(
                f"{state.source.name}: {row['category']} from {row['start_time']}, score {row['peak_score']:.2f}"
            )
        state.rows, state.written = rows, time.monotonic()

    def _tell(self, line: str) -> None:
        if not self._watching.quiet:
            click.echo(line, err=True)
