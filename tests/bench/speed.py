"""Each stage's rate, what limits it, the share of that limit reached, and the ratio to a naive pipeline.

    python tests/bench/speed.py                   all of it: an hour on two cores without bf16
    python tests/bench/speed.py --stage encoder   encoder, extraction, scoring or overlap alone

The naive pipeline is `naive.py`. Clips are those of VAD_SHARED where it is there, and a rendered fixed camera. All is
measured in turn in one run; what this processor only emulates (bf16) is left out and said so.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import av
import naive
import numpy as np
import torch
from measure import in_turn, machine, matrix_gflops, openvino_gflops, table

from vad_pipeline.extract import openvino_tower
from vad_pipeline.extract.embed import _snippet_crops, embed_video
from vad_pipeline.extract.encoder import ClipEncoder, multiplies_bf16
from vad_pipeline.extract.encoder_config import EncoderConfig
from vad_pipeline.extract.reader import PyavReader
from vad_pipeline.extract.recipe import NAMED_RECIPES, SNIPPET_LEN
from vad_pipeline.model.categories import CATEGORIES
from vad_pipeline.model.checkpoint import Checkpoint
from vad_pipeline.model.dsanet import PRESETS
from vad_pipeline.model.normality import NormalityConfig
from vad_pipeline.model.scoring import Scorer
from vad_pipeline.model.trainable import TrainableDSANet

IMAGE_GFLOP = 35.1  # of one 224 x 224 image through ViT-B/16
CONFIG = EncoderConfig(pretrained="random:0", device="cpu", precision="fp32")
CLIPS = ("ucf/RoadAccidents017_x264.mp4", "odd/survnofight_nofi001.mp4", "odd/mimetype_mkv.mkv")
CCTV_SECONDS, CCTV_FPS = 300, 25
SCORED_SNIPPETS = 16 * 256
STAGES = ("encoder", "extraction", "scoring")


def render_cctv(path: Path, seconds: int = CCTV_SECONDS) -> Path:
    """A fixed camera with sensor noise, and somebody small who crosses the picture every ten seconds."""
    rng = np.random.default_rng(0)
    scene = np.kron(rng.integers(40, 200, (18, 32, 3), np.uint8), np.ones((20, 20, 1), np.uint8))
    noise = [rng.integers(-3, 4, scene.shape, np.int16) for _ in range(8)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=CCTV_FPS, options={"preset": "veryfast", "crf": "28"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for index in range(seconds * CCTV_FPS):
            pixels = np.clip(scene + noise[index % len(noise)], 0, 255).astype(np.uint8)
            step = index % (10 * CCTV_FPS)
            if step < 5 * CCTV_FPS:
                left = step * 600 // (5 * CCTV_FPS)
                pixels[200:260, left : left + 24] = 20
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def encoders() -> dict[str, ClipEncoder]:
    """Ours, by what this machine has."""
    configs = {"torch fp32": CONFIG}
    if openvino_tower.is_installed():
        configs["OpenVINO fp32"] = replace(CONFIG, runtime="openvino")
    if multiplies_bf16():
        bf16 = {name.replace("fp32", "bf16"): replace(config, precision="bf16") for name, config in configs.items()}
        configs |= bf16
    return {name: ClipEncoder(config) for name, config in configs.items()}


def encoder_stage(rounds: int) -> None:
    """Images/s of the tower alone, against the best matrix product of any library here."""
    model, _ = naive.clip_model()
    ours = encoders()
    rng = np.random.default_rng(0)
    crops = torch.from_numpy(rng.integers(0, 256, (naive.BATCH, 3, 224, 224), np.uint8))
    pixels = torch.randn(naive.BATCH, 3, 224, 224)

    def encode_all(encoder: ClipEncoder) -> np.ndarray:
        return np.concatenate([encoder.encode(part) for part in crops.split(encoder.batch_size)])

    def naive_encode() -> None:
        with torch.no_grad():
            model.encode_image(pixels)

    exact = encode_all(ours["torch fp32"])
    jobs = {"naive: torch fp32, batch 32": naive_encode}
    jobs |= {name: partial(encode_all, encoder) for name, encoder in ours.items()}
    seconds = in_turn(jobs, rounds)
    limits = {"fp32": {"torch": matrix_gflops(torch.float32)}, "bf16": {}}
    if openvino_tower.is_installed():
        limits["fp32"]["OpenVINO"] = openvino_gflops("f32")
    if multiplies_bf16():
        limits["bf16"] = {"torch": matrix_gflops(torch.bfloat16), "OpenVINO": openvino_gflops("bf16")}
    for precision, rates in limits.items():
        for library, rate in rates.items():
            print(f"limit: {library}'s {precision} matrix product, {rate:.0f} GFLOP/s")
    base = seconds["naive: torch fp32, batch 32"]
    rows = []
    for name, value in seconds.items():
        rate = naive.BATCH / value
        limit = max(limits["bf16" if "bf16" in name else "fp32"].values())
        error = "" if name not in ours else relative_error(encode_all(ours[name]), exact)
        share = f"{rate * IMAGE_GFLOP / limit:.0%}"
        rows.append((name, f"{rate:.2f}", f"{rate * IMAGE_GFLOP:.0f}", share, f"{base / value:.2f}", error))
    table(("encoder", "images/s", "GFLOP/s", "of the limit", "times naive", "relative error"), rows)


def relative_error(rows: np.ndarray, exact: np.ndarray) -> str:
    """The largest difference over the largest value."""
    return f"{np.abs(rows - exact).max() / np.abs(exact).max():.1e}"


def extraction_stage(clips: list[Path], long_clips: list[Path], rounds: int) -> None:
    """A video end to end, both recipes; and whether anything is lost between decoding and encoding."""
    model, preprocess = naive.clip_model()
    ours = encoders()
    best = ours[list(ours)[-1]]
    best.encode(torch.zeros((1, 3, 224, 224), dtype=torch.uint8))
    rows = []
    for like in ("quick", "vadclip"):
        named = NAMED_RECIPES[like]
        for clip in clips + (long_clips if like == "quick" else []):
            reader = PyavReader(clip)
            n_frames = sum(1 for _ in reader)
            size = "{}x{}".format(*reader._size_px)
            reader.close()
            n_images = n_frames // SNIPPET_LEN * named.recipe.frames_per_snippet * len(named.crops)

            def extract(clip: Path = clip, named=named) -> None:
                embed_video(
                    partial(PyavReader, clip), video_id="a", recipe=named.recipe, crops=named.crops, encoder=best
                )

            def decode(clip: Path = clip, named=named) -> None:
                reader = PyavReader(clip)
                for _ in _snippet_crops(reader, named.recipe, named.crops):
                    pass
                reader.close()

            def encode(n_images: int = n_images) -> None:
                batch = torch.zeros((best.batch_size, 3, 224, 224), dtype=torch.uint8)
                for _ in range(-(-n_images // best.batch_size)):
                    best.encode(batch)

            jobs = {
                "naive": partial(naive.extract, clip, like, model, preprocess),
                "ours": extract,
                "decode": decode,
                "encode": encode,
            }
            # what is long needs no warming up, and is measured once
            seconds = in_turn(jobs, rounds) if n_images < 100 else in_turn_once(jobs)
            alone = seconds["decode"] + seconds["encode"]
            rows.append(
                (
                    f"{like}, {clip.stem} {size}, {n_frames} frames",
                    f"{seconds['naive']:.1f}",
                    f"{seconds['ours']:.1f}",
                    f"{seconds['naive'] / seconds['ours']:.2f}",
                    f"{seconds['decode']:.2f}",
                    f"{seconds['encode']:.1f}",
                    f"{seconds['ours'] / alone:.2f}",
                )
            )
    head = (
        "extraction",
        "naive s",
        "ours s",
        "times naive",
        "decoding alone s",
        "encoding alone s",
        "ours / both alone",
    )
    table(head, rows)


def in_turn_once(jobs: dict) -> dict[str, float]:
    """As `in_turn`, without the warming up."""
    return {name: in_turn_cold(job) for name, job in jobs.items()}


def in_turn_cold(job) -> float:
    """Seconds of one call."""
    import time

    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def scoring_stage(rounds: int) -> None:
    """Snippets/s against the plain version, and against the operations that scores need."""
    limit = matrix_gflops(torch.float32)
    rows = []
    for preset, config in PRESETS.items():
        torch.manual_seed(0)
        network = TrainableDSANet(config, NormalityConfig(), CATEGORIES[preset]).eval()
        features = 0.45 * np.random.default_rng(0).standard_normal((SCORED_SNIPPETS, 512)).astype(np.float32)
        with torch.no_grad():
            text = network.text_features()
        scorer = Scorer(_checkpoint(preset, network, text), device="cpu")
        jobs = {
            "plain, one window at a time": partial(naive.score, features, network),
            "ours": partial(scorer.score, features),
        }
        error = np.abs(naive.score(features, network) - scorer.score(features).anomaly).max()
        seconds = in_turn(jobs, rounds)
        base = seconds["plain, one window at a time"]
        for name, value in seconds.items():
            share = f"{scoring_gflop(config) / value / limit:.0%}" if name == "ours" else ""
            rate = f"{SCORED_SNIPPETS / value:.0f}"
            shown = f"{error:.1e}" if name == "ours" else ""
            rows.append((f"{preset}, {name}", rate, share, f"{base / value:.1f}", shown))
    table(("scoring", "snippets/s", "of the limit", "times plain", "score apart"), rows)
    if not multiplies_bf16():
        print("\nbf16: not measured, this processor has no instructions for it")


def scoring_gflop(config) -> float:
    """Of all SCORED_SNIPPETS: the matrix products that scores need, nothing else."""
    d, t, c = config.width, config.window_len, len(config.categories)
    block = 2 * (3 * d * d + d * d + 8 * d * d) + 4 * config.attention_block * d
    graph = 2 * (2 * (d * d // 2) + 5 * d * d // 2 + d * d // 4) + 2 * 4 * t * d // 2
    heads = 2 * d * d + 16 * d * d + 2 * d + 2 * c * d + (16 * d * d * c + 2 * t * d) / t
    return SCORED_SNIPPETS * (config.layers * block + 2 * t * d + graph + heads) / 1e9


def _checkpoint(preset: str, network: TrainableDSANet, text: torch.Tensor) -> Checkpoint:
    return Checkpoint(
        config=network.scoring.config,
        model=network.scoring,
        text_features=text,
        categories=network.scoring.config.categories,
        preset=preset,
        recipe=NAMED_RECIPES["vadclip"].recipe,
        crop=0,
        threshold=0.5,
        clip_sha256=None,
        sha256="",
        path=Path(preset),
    )


def main() -> None:
    """Measure and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=STAGES, help="Only this one.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--videos", type=Path, default=Path(os.environ.get("VAD_SHARED", "../shared")) / "videos")
    options = parser.parse_args()
    print(machine())
    stages = [options.stage] if options.stage else STAGES
    if "encoder" in stages:
        encoder_stage(options.rounds)
    if "extraction" in stages:
        clips = [options.videos / clip for clip in CLIPS if (options.videos / clip).exists()]
        if not clips:
            print(f"\nno real clips at {options.videos}: the rendered ones stand alone")
        with tempfile.TemporaryDirectory() as folder:
            short = render_cctv(Path(folder) / "cctv-10-s.mp4", 10)
            extraction_stage([*clips, short], [render_cctv(Path(folder) / "cctv-5-min.mp4")], options.rounds)
    if "scoring" in stages:
        scoring_stage(options.rounds)


if __name__ == "__main__":
    main()
