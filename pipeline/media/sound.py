"""Copies the sound of a part of the footage into an mp4 file, without encoding it anew."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import av

from vad_pipeline.extract.decode.container import video_stream

from .footage import Footage

COPIED_SOUND = frozenset({"aac", "mp3"})  # codecs that every mp4 player knows


@dataclass(slots=True)
class Sound:
    """Packets of one audio stream, with times counted from the start of the part that is copied."""

    stream: av.AudioStream
    packets: list[av.Packet] = field(repr=False)

    def packets_for(self, out: av.container.OutputContainer) -> Iterator[av.Packet]:
        """Add an audio stream to `out`, and yield the packets assigned to it."""
        copy = out.add_stream_from_template(self.stream)
        for packet in self.packets:
            packet.stream = copy
            yield packet


@contextlib.contextmanager
def sound_between(footage: Footage, start: float, end: float) -> Iterator[tuple[Sound | None, str]]:
    """Read the sound from `start` to `end` seconds of footage, where it can be copied.

    Yields:
        The sound or None; and what became of it: `copied`, `dropped` (its codec cannot be copied), or an empty text
        where there is no sound.

    Raises:
        VideoOpenError: the file can no longer be opened.
    """
    with footage.opened() as container:
        stream = _heard_with(container, footage.stream)
        if stream is None or stream.codec_context is None:
            yield None, ""
            return
        name = stream.codec_context.codec.canonical_name
        if name not in COPIED_SOUND or (name == "aac" and not stream.codec_context.extradata):
            yield None, "dropped"
            return
        try:
            packets = _packets(container, stream, start, end)
        except (av.error.FFmpegError, ValueError):
            yield None, "dropped"
            return
        yield (Sound(stream, packets), "copied") if packets else (None, "")


def _heard_with(container: av.container.InputContainer, video: int) -> av.AudioStream | None:
    """The first sound, or for another video stream than the first that of its program, where a file holds several."""
    if video == 1:
        return next(iter(container.streams.audio), None)
    return container.streams.best("audio", related=video_stream(container, video))


def _packets(
    container: av.container.InputContainer, stream: av.AudioStream, start: float, end: float
) -> list[av.Packet]:
    opened = (container.start_time or 0) / av.time_base
    first, last = (round((seconds + opened) / stream.time_base) for seconds in (start, end))
    container.seek(first, stream=stream, backward=True)
    packets = []
    for packet in container.demux(stream):
        if not packet.size or packet.pts is None or packet.dts is None or packet.pts < first:
            continue
        if packet.pts >= last:
            break
        packet.pts -= first
        packet.dts -= first
        packets.append(packet)
    return packets
