"""One thread a camera: receives, decodes, cuts into hours and snippets, and tries again where nothing more comes."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import av

from vad_pipeline.extract.decode.container import MAX_FRAME_PX, prepare_decoder, reason_of, video_stream
from vad_pipeline.extract.decode.reader import TOO_LARGE, PyavFrame
from vad_pipeline.extract.embed.embed_video import snippet_crops
from vad_pipeline.extract.embed.still import StillScenes
from vad_pipeline.extract.errors import RunStopped, VideoDecodeError
from vad_pipeline.extract.recipe import Recipe

from .arrival import ArrivalTimes
from .messages import Began, Ended, Finished, Lost, Message, Opened, Snippet
from .source import TIMEOUT_SECONDS, Source

PART_SECONDS = 3600  # a video ends with each full hour, by UTC
WAITING_SNIPPETS = 4  # of a camera, before its thread waits: bounds memory
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0  # before a camera is tried again, doubled each time
LOOK_SECONDS = 0.5  # how often a thread that waits looks whether all is over
FALLBACK_FPS, HIGHEST_FPS = Fraction(25), 240


@dataclass(slots=True)
class _Frames:
    """The frames of one video of a camera: what `snippet_crops` takes; notes when each is shown."""

    path: str
    first: tuple[PyavFrame, float]
    rest: Iterator[tuple[PyavFrame, float]]
    times: list[float] = field(default_factory=list)
    """Of the frames that came, those of snippets that were sent left out."""
    next: tuple[PyavFrame, float] | None = None
    """The first frame of the next video, once this one has ended with its hour."""

    def __iter__(self) -> Iterator[PyavFrame]:
        hour = self.first[1] // PART_SECONDS
        self.times.append(self.first[1])
        yield self.first[0]
        for frame, shown in self.rest:
            if shown // PART_SECONDS != hour:
                self.next = (frame, shown)
                return
            self.times.append(shown)
            yield frame


class Camera(threading.Thread):
    """Sends what comes from one source as messages, until it ends or `stop` is called.

    Args:
        source: where it comes from.
        recipe: how frames are sampled and cut.
        crop: number of the crop.
        sent: where messages go.
    """

    def __init__(self, source: Source, recipe: Recipe, crop: int, sent: queue.Queue[Message]):
        super().__init__(name=f"camera {source.name}", daemon=True)
        self.source, self._recipe, self._crop, self._sent = source, recipe, crop, sent
        self._over = threading.Event()
        self._room = threading.BoundedSemaphore(WAITING_SNIPPETS)
        self._times = ArrivalTimes(is_live=source.is_live)
        self._fps = FALLBACK_FPS

    def stop(self) -> None:
        """Let the thread end soon; what has come in is still sent."""
        self._over.set()

    def taken(self) -> None:
        """A snippet was taken: there is room for another one."""
        self._room.release()

    def run(self) -> None:
        """Send all that comes."""
        error = None
        try:
            self._send_videos()
        except Exception as failed:  # a thread's bug must not leave the others waiting
            error = RunStopped(f"{self.source.name}: a bug ({type(failed).__name__}); run again with --debug")
            error.__cause__ = failed
        finally:
            self._sent.put(Finished(self.source.name, error))

    def _send_videos(self) -> None:
        frames = self._frames()
        first = next(frames, None)
        while first is not None:
            video = _Frames(self.source.address, first, frames)
            self._sent.put(Began(self.source.name, first[1], self._fps))
            zones = self._recipe.zones_of(f"{self.source.name}/")
            scenes = StillScenes(self._recipe.still_bound)
            try:
                for images, counts in snippet_crops(video, self._recipe, (self._crop,), scenes, zones):
                    times, video.times = tuple(video.times), []
                    self._send_snippet(Snippet(self.source.name, images, counts, times))
            except VideoDecodeError as error:
                self._sent.put(Lost(self.source.name, error.reason, FIRST_WAIT_SECONDS))
                self._over.wait(FIRST_WAIT_SECONDS)
            self._sent.put(Ended(self.source.name, tuple(video.times)))
            first = video.next or next(frames, None)

    def _send_snippet(self, snippet: Snippet) -> None:
        while not self._room.acquire(timeout=LOOK_SECONDS):
            pass  # the other side takes what is sent to the end, after `stop` too
        self._sent.put(snippet)

    def _frames(self) -> Iterator[tuple[PyavFrame, float]]:
        """All frames with the times at which they are shown, however often the camera has to be opened."""
        wait = FIRST_WAIT_SECONDS
        while not self._over.is_set():
            why, n_before = "it has ended", self._n_received
            try:
                yield from self._received()
            except (av.error.FFmpegError, ValueError, OSError) as error:
                why = reason_of(error)
            if self._over.is_set():
                return
            wait = FIRST_WAIT_SECONDS if self._n_received > n_before else wait
            self._sent.put(Lost(self.source.name, why, wait if self.source.is_live else None))
            if not self.source.is_live:
                return
            self._over.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    _n_received = 0

    def _received(self) -> Iterator[tuple[PyavFrame, float]]:
        """The frames of one connection."""
        with contextlib.closing(self.source.open(self._over.is_set)) as container:
            stream = video_stream(container)
            if stream is None or stream.codec_context is None:
                raise ValueError("no video stream")
            if stream.width * stream.height > MAX_FRAME_PX:
                raise ValueError(TOO_LARGE.format(stream.width, stream.height))
            prepare_decoder(stream, threads=1)  # more would hold frames back
            self._fps = _rate(stream)
            self._sent.put(Opened(self.source.name, stream.width, stream.height, self._fps))
            self._times.begin_anew()
            decoded = time.monotonic()
            for packet in _packets(container, stream):
                frames = _decoded(stream, packet)
                if frames:
                    decoded = time.monotonic()
                elif self.source.is_live and time.monotonic() - decoded > TIMEOUT_SECONDS:
                    raise ValueError(f"nothing that has come for {TIMEOUT_SECONDS:g} s can be decoded")
                for frame in frames:
                    if self._over.is_set():
                        return
                    tick = frame.time_base or stream.time_base
                    stamp = None if frame.pts is None else float(frame.pts * tick)
                    self._n_received += 1
                    yield PyavFrame(frame, self.source.address), self._times.time_of(stamp, time.time())


def _packets(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.Packet | None]:
    """The packets of a stream, then None, upon which the decoder gives the frames still in it, however it ends."""
    try:
        yield from container.demux(stream)
    except av.error.FFmpegError:
        yield None
        raise


def _decoded(stream: av.VideoStream, packet: av.Packet | None) -> Sequence[av.VideoFrame]:
    """The frames that a packet completes; none of one that is damaged."""
    try:
        return stream.decode(packet)
    except av.error.FFmpegError:
        return ()


def _rate(stream: av.VideoStream) -> Fraction:
    """The frame rate that a stream states, where it is a likely one."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 1 <= rate <= HIGHEST_FPS and math.isfinite(rate):
            return Fraction(rate)
    return FALLBACK_FPS
