"""Features as somebody else might have made them: plain code of its own, for blind tests of verify-features."""

from __future__ import annotations

import random
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from vad_pipeline.extract.embed.encoder import ClipEncoder
from vad_pipeline.extract.verify.settings import FRAMES, NORMALISED, SIZES, Pixels, Setting


def drawn_setting(rng: random.Random) -> Setting:
    """Any setting; every second one without offset, every second one without a change of rate."""
    pixels = Pixels(
        geometry=rng.choice(tuple(SIZES)),
        crop=rng.randrange(10),
        interpolation=rng.choice(("bilinear", "bicubic")),
        antialias=rng.random() < 0.5,
        channels=rng.choice(("rgb", "bgr")),
        activation=rng.choice(("quickgelu", "gelu")),
    )
    offset = rng.randrange(16) if rng.random() < 0.5 else 0
    rate = rng.choice((24, 25, 30)) if rng.random() < 0.5 else None
    return Setting(pixels, rng.choice(FRAMES), offset, rate, rng.choice(NORMALISED))


def released_features(path: Path, setting: Setting, encoder: ClipEncoder) -> np.ndarray:
    """(rows, 512) float32, tail dropped."""
    if encoder.activation != setting.pixels.activation:
        encoder = encoder.with_other_activation()
    frames = _frames(path, setting.rate)[setting.offset :]
    kind, _, k = setting.frames.partition(" of ")
    rows = []
    for start in range(0, len(frames) - 15, 16):
        snippet = frames[start : start + 16]
        if kind == "mean":
            snippet = [snippet[(2 * j + 1) * 16 // (2 * int(k))] for j in range(int(k))]
        else:
            snippet = [snippet[{"first": 0, "middle": 8, "last": 15}[kind]]]
        pictures = torch.stack([_picture(frame, setting.pixels) for frame in snippet])
        embedded = np.concatenate([encoder.encode(part) for part in pictures.split(encoder.batch_size)])
        if setting.normalised == "frames":
            embedded /= np.linalg.norm(embedded, axis=1, keepdims=True)
        row = embedded.sum(axis=0) / len(embedded)
        rows.append(row / np.linalg.norm(row) if setting.normalised == "snippets" else row)
    return np.stack(rows)


def panned_video(path: Path, *, n_frames: int = 750, width: int = 320, height: int = 240, fps: int = 25) -> Path:
    """A camera that pans over a coloured landscape, stands still, and goes on; things move in it meanwhile."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (60, 120, 3), np.uint8)).resize((1920, 960), Image.BICUBIC)
    fine = Image.fromarray(rng.integers(0, 256, (480, 960, 3), np.uint8)).resize((1920, 960), Image.BILINEAR)
    land = np.array(Image.blend(coarse, fine, 0.3))
    x = y = 0.0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(n_frames):
            if index // 100 % 3 != 1:
                x, y = x + 2.5 * np.sin(index / 90) + 0.9, y + 1.2 * np.cos(index / 70)
            frame = land[int(y) % (960 - height) :][:height, int(x) % (1920 - width) :][:, :width].copy()
            left = index * 3 % (width - 40)
            frame[80:120, left : left + 40] = (255 * (index // 50 % 2), 128, 255 * (index // 30 % 2))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))
    return path


def encoded_again(path: Path, copy: Path, *, crf: int = 23) -> Path:
    """The same video through H.264 once more."""
    with av.open(str(path)) as source, av.open(str(copy), "w") as target:
        stream = source.streams.video[0]
        out = target.add_stream("libx264", rate=stream.average_rate, options={"crf": str(crf)})
        out.width, out.height, out.pix_fmt, out.time_base = stream.width, stream.height, "yuv420p", stream.time_base
        for frame in source.decode(stream):
            frame.pict_type = 0
            target.mux(out.encode(frame))
        target.mux(out.encode(None))
    return copy


def _frames(path: Path, rate: int | None) -> list[np.ndarray]:
    """(H, W, 3) RGB each; another rate through FFmpeg's own filter."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if rate is None:
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        graph = av.filter.Graph()
        graph.link_nodes(graph.add_buffer(template=stream), graph.add("fps", str(rate)), graph.add("buffersink"))
        graph.configure()
        frames = []
        for frame in [*container.decode(stream), None]:
            graph.push(frame)
            while True:
                try:
                    frames.append(graph.pull().to_ndarray(format="rgb24"))
                except (av.error.BlockingIOError, av.error.EOFError):
                    break
        return frames


def _picture(frame: np.ndarray, pixels: Pixels) -> torch.Tensor:
    """(3, 224, 224) uint8."""
    height, width = frame.shape[:2]
    shorter = min(height, width)
    wanted = {
        "vadclip": (256, 340),
        "clip": (int(224 * height / shorter), int(224 * width / shorter)),
        "square": (224, 224),
        "short256": (int(256 * height / shorter), int(256 * width / shorter)),
    }[pixels.geometry]
    if pixels.channels == "bgr":
        frame = frame[..., ::-1].copy()
    if pixels.antialias:
        how = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}[pixels.interpolation]
        picture = torch.from_numpy(np.array(Image.fromarray(frame).resize(wanted[::-1], how))).permute(2, 0, 1)
    else:
        planes = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
        picture = functional.interpolate(planes, size=wanted, mode=pixels.interpolation)[0].round().clamp(0, 255).byte()
    y, x = wanted[0] - 224, wanted[1] - 224
    top, left = ((round(y / 2), round(x / 2)), (0, 0), (0, x), (y, 0), (y, x))[pixels.crop % 5]
    picture = picture[:, top : top + 224, left : left + 224]
    return picture.flip(2) if pixels.crop >= 5 else picture
