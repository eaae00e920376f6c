"""Estimates how long extraction takes on this machine: lengths from file headers, divided by rates measured here."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vad_pipeline.extract.decode.probe import probe_length
from vad_pipeline.extract.embed.encoder_config import INT8
from vad_pipeline.extract.embed.sampling import n_snippets
from vad_pipeline.extract.errors import VideoError
from vad_pipeline.extract.extractor import Extractor
from vad_pipeline.extract.files import Source
from vad_pipeline.extract.recipe import Recipe

PROBED_AT_MOST = 200  # file headers read; a larger archive is extrapolated from these
DECODE_SAMPLE_FRAMES = 300
WORTH_MEASURING_IMAGES = 500  # with fewer images, measuring the rate would take too long beside the work itself
SLOW_SECONDS = 3600  # a run on a CPU that takes longer than this gets a note about the quick recipe


@dataclass(frozen=True, slots=True)
class Workload:
    """How much is to be decoded and embedded, as the files' headers say."""

    n_videos: int
    n_frames: int
    hours: float
    """Hours of footage."""
    n_images: int
    """Images that the encoder has to embed: sampled frames times crops."""
    n_unknown: int
    """Videos whose headers do not say how long they are; they count for nothing above."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How fast this machine embeds and decodes, measured just now."""

    images_per_second: float
    frames_per_second: float

    def seconds(self, work: Workload) -> float:
        """Seconds that the work takes if decoding and embedding run one after the other."""
        return work.n_images / self.images_per_second + work.n_frames / self.frames_per_second


def workload(sources: Sequence[Source], recipe: Recipe, n_crops: int, *, scale: float = 1) -> Workload:
    """Add up the lengths in the files' headers; of more than PROBED_AT_MOST files, an even sample is read.

    Args:
        sources: the files.
        recipe: how they would be embedded.
        n_crops: how many crops of each frame would be embedded.
        scale: how many files of the archive each source stands for.
    """
    step = max(1, -(-len(sources) // PROBED_AT_MOST))
    probed = [probe_length(source) for source in sources[::step]]
    n_videos = len(sources) * scale
    scale = n_videos / max(1, len(probed))
    images = sum(n_snippets(length.n_frames, recipe) for length in probed) * recipe.frames_per_snippet * n_crops
    return Workload(
        int(n_videos),
        int(sum(length.n_frames for length in probed) * scale),
        sum(length.seconds for length in probed) * scale / 3600,
        int(images * scale),
        round(sum(not length.n_frames for length in probed) * scale),
    )


def measure(extractor: Extractor, sources: Sequence[Source]) -> Rates:
    """Measure this machine: run the encoder with random weights (none are downloaded), and decode the start of a file.

    Raises:
        DeviceFailed: the GPU is out of memory or gone.
    """
    from vad_pipeline.extract.device import stopping_where_the_device_fails
    from vad_pipeline.extract.embed.encoder import ClipEncoder
    from vad_pipeline.extract.embed.encoder_config import RANDOM

    with stopping_where_the_device_fails():
        config = replace(extractor.encoder_config, pretrained=f"{RANDOM}0")
        encoder = ClipEncoder(config) if config.precision != INT8 else extractor.encoder
        return Rates(encoder.measure_rate(), _decode_rate(extractor, sources))


def _decode_rate(extractor: Extractor, sources: Sequence[Source]) -> float:
    for source in sources:
        started = time.perf_counter()
        try:
            reader = extractor.open_for_encoder(source)
        except VideoError:
            continue
        try:
            count = sum(1 for _ in itertools.islice(reader, DECODE_SAMPLE_FRAMES))
        except VideoError:
            continue
        finally:
            reader.close()
        if count:
            return count / (time.perf_counter() - started)
    return float("inf")  # nothing decodes: decoding will take no time
