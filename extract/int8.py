"""Prepares the int8 tower of a store: calibrates it on frames of the footage at hand, unless the store has one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .errors import ConfigError, VideoError
from .extractor import Extractor
from .files import Source
from .names import plural
from .only_process import in_turn

if TYPE_CHECKING:
    import numpy as np
    import torch

    from .embed.int8_tower import Int8Record

MAX_VIDEOS = 64  # that frames are taken of
IMAGES = 128  # crops; half of them calibrate, on the others the deviation is measured
LEAST_IMAGES = 16
LEAST_COSINE = 0.99  # of the worst image
TOO_LITTLE = (
    "--precision int8: only {n} could be read out of this footage to calibrate on, and {least} are needed; "
    "leave --precision out, or calibrate with more footage first"
)


def prepare_int8(extractor: Extractor, sources: Sequence[Source]) -> Int8Record:
    """Make sure that the store holds the int8 tower that an extractor made for it asks for.

    Of processes that begin together one calibrates and the others wait for it.

    Args:
        extractor: the options, with precision int8.
        sources: the footage, of which a sample is looked at; the same footage gives the same sample.

    Raises:
        ConfigError: the packages are not installed, there is too little footage, or the tower deviates too much.
        StoreError: the kept tower is damaged, or the store cannot be written.
    """
    from .embed import int8_tower
    from .embed.encoder import full_tower
    from .embed.ways import BATCH_CPU

    folder = extractor.int8_folder
    if not (folder / int8_tower.RECORD).exists() and not int8_tower.is_installed():
        raise ConfigError(int8_tower.NEEDS)
    with in_turn(folder.parent):
        if (folder / int8_tower.RECORD).exists():
            record = int8_tower.read_record(folder)
        else:
            images, videos = sample(extractor, sources)
            if len(images) < LEAST_IMAGES:
                raise ConfigError(TOO_LITTLE.format(n=plural(len(images), "picture"), least=LEAST_IMAGES))
            config = replace(extractor.encoder_config, precision="fp32")
            record = int8_tower.calibrate(
                lambda: full_tower(config, extractor.weights),
                images,
                identity={"model": extractor.recipe.model, "weights": extractor.recipe.weights},
                videos=videos,
                folder=folder,
                batch_size=BATCH_CPU,
            )
    if record.worst < LEAST_COSINE and not extractor.config.accept_deviation:
        raise ConfigError(
            f"{folder}: {record.words()}, below {LEAST_COSINE}; --accept-deviation takes it all the same, or leave "
            "--precision int8 out"
        )
    return record


def sample(extractor: Extractor, sources: Sequence[Source]) -> tuple[torch.Tensor, list[str]]:
    """Crops of a sample of footage, (N, 3, px, px) uint8, and the ids of their videos; a hash of the ids decides.

    Files that cannot be read are passed over: the run itself says why.
    """
    import torch

    from .embed.geometry import crop_frames

    def rank(source: Source) -> str:
        return hashlib.sha256(source.video_id.encode(errors="surrogateescape")).hexdigest()

    chosen = sorted(sources, key=rank)[:MAX_VIDEOS]
    each = -(-IMAGES // (max(1, len(chosen)) * len(extractor.crops)))
    recipe, images, videos = extractor.recipe, [], []
    for source in chosen:
        pictures = _pictures(source, each)
        if pictures:
            images.append(crop_frames(pictures, recipe.geometry, extractor.crops, px=recipe.image_px).flatten(0, 1))
            videos.append(source.video_id)
    return (torch.cat(images)[:IMAGES] if images else torch.empty(0)), videos


def _pictures(source: Source, n: int) -> list[np.ndarray]:
    """Up to n frames (H, W, 3) uint8 RGB, spread evenly over a video as far as it can be sought in; one size."""
    import av

    from .decode.container import check_file, open_container, prepare_decoder, video_stream
    from .decode.reader import PyavFrame

    pictures = []
    try:
        check_file(source.path)
        with open_container(source.path) as container:
            stream = video_stream(container, source.stream or 1)
            if stream is None or stream.codec_context is None:
                return []
            prepare_decoder(stream)
            seconds = container.duration / av.time_base if container.duration else 0.0
            for number in range(n):
                if seconds:
                    at = (container.start_time or 0) + int((number + 0.5) / n * seconds * av.time_base)
                    container.seek(at, backward=True)
                frame = next(iter(container.decode(stream)), None)
                if frame is not None:
                    pictures.append(PyavFrame(frame, source.path).rgb())
    except (av.error.FFmpegError, ValueError, VideoError):  # the run says why
        pass
    return [picture for picture in pictures if picture.shape == pictures[0].shape]
