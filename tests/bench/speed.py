"""Each stage's rate, what limits it, the share of that limit reached, and the ratio to a naive pipeline.

    python tests/bench/speed.py                   all of it: an hour on two cores without bf16
    python tests/bench/speed.py --stage encoder   encoder, extraction, recipes or scoring alone
    python tests/bench/speed.py --device cuda     all of both pipelines on the GPU, scoring included

The naive pipeline is `naive.py`. Clips are those of VAD_SHARED where it is there, and a rendered fixed camera. All is
measured in turn in one run; what this processor only emulates (bf16) is left out and said so.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import av
import naive
import numpy as np
import torch
from measure import in_turn, machine, matrix_gflops, openvino_gflops, table

from vad_pipeline.extract.decode.decoders import open_auto
from vad_pipeline.extract.decode.reader import PyavReader
from vad_pipeline.extract.device import resolve_device
from vad_pipeline.extract.embed import openvino_tower
from vad_pipeline.extract.embed.embed_video import embed_video, snippet_crops
from vad_pipeline.extract.embed.encoder import ClipEncoder
from vad_pipeline.extract.embed.encoder_config import EncoderConfig
from vad_pipeline.extract.embed.still import StillScenes
from vad_pipeline.extract.embed.ways import multiplies_bf16
from vad_pipeline.extract.recipe import NAMED_RECIPES, SNIPPET_LEN
from vad_pipeline.model.categories import CATEGORIES
from vad_pipeline.model.checkpoint import Checkpoint
from vad_pipeline.model.heads.dsanet import PRESETS
from vad_pipeline.model.learning.trainable import TrainableDSANet
from vad_pipeline.model.scoring import Scorer

IMAGE_GFLOP = 35.1  # of one 224 x 224 image through ViT-B/16
CONFIG = EncoderConfig(pretrained="random:0", device="cpu", precision="fp32")
CLIPS = ("ucf/RoadAccidents017_x264.mp4", "odd/survnofight_nofi001.mp4")  # decord reads none of the real 720p ones
CCTV_SECONDS, CCTV_FPS = 300, 25
SCORED_SNIPPETS = 16 * 256
WARMED_IMAGES = 100  # more are measured once, cold: they take minutes
STAGES = ("encoder", "extraction", "recipes", "scoring")
RECIPE_SECONDS = (1, 2, 3)  # of clips that each named recipe takes; minutes, of the default one


def render_cctv(path: Path, seconds: int, cell_px: int = 20) -> Path:
    """A fixed camera with sensor noise, and somebody small who crosses the picture every ten seconds; 32x18 cells."""
    rng = np.random.default_rng(0)
    scene = np.kron(rng.integers(40, 200, (18, 32, 3), np.uint8), np.ones((cell_px, cell_px, 1), np.uint8))
    noise = [rng.integers(-3, 4, scene.shape, np.int16) for _ in range(8)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=CCTV_FPS, options={"preset": "veryfast", "crf": "28"})
        stream.width, stream.height, stream.pix_fmt = 32 * cell_px, 18 * cell_px, "yuv420p"
        for index in range(seconds * CCTV_FPS):
            pixels = np.clip(scene + noise[index % len(noise)], 0, 255).astype(np.uint8)
            step = index % (10 * CCTV_FPS)
            if step < 5 * CCTV_FPS:
                left = step * 30 * cell_px // (5 * CCTV_FPS)
                pixels[10 * cell_px : 13 * cell_px, left : left + cell_px] = 20
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def encoders(device: torch.device, model: str = CONFIG.model) -> dict[str, ClipEncoder]:
    """Ours, by what this machine has; the fastest last."""
    config = replace(CONFIG, model=model, device=str(device))
    configs = {"torch fp32": config}
    if device.type == "cuda":
        configs |= {f"torch {precision}": replace(config, precision=precision) for precision in ("bf16", "fp16")}
    elif openvino_tower.is_installed():
        configs["OpenVINO fp32"] = replace(config, runtime="openvino")
    if device.type == "cpu" and multiplies_bf16():
        bf16 = {name.replace("fp32", "bf16"): replace(one, precision="bf16") for name, one in configs.items()}
        configs |= bf16
    return {name: ClipEncoder(one) for name, one in configs.items()}


def limits(device: torch.device, batch: int) -> dict[str, float]:
    """GFLOP/s of the best matrix product of any library here, by precision; says what each reaches."""
    rates = {"fp32": {"torch": matrix_gflops(torch.float32, device, batch)}}
    if device.type == "cuda":
        dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16}
        rates |= {name: {"torch": matrix_gflops(dtype, device, batch)} for name, dtype in dtypes.items()}
    elif multiplies_bf16():
        rates["bf16"] = {"torch": matrix_gflops(torch.bfloat16, device, batch)}
    if device.type == "cpu" and openvino_tower.is_installed():
        for precision, of_libraries in rates.items():
            of_libraries["OpenVINO"] = openvino_gflops(openvino_tower.HINTS[precision], batch)
    for precision, of_libraries in rates.items():
        for library, rate in of_libraries.items():
            print(f"limit: {library}'s {precision} matrix product, {rate:.0f} GFLOP/s")
    return {precision: max(of_libraries.values()) for precision, of_libraries in rates.items()}


def encoder_stage(device: torch.device, rounds: int) -> None:
    """Images/s of the tower alone, against the best matrix product of any library here."""
    model, _ = naive.clip_model(device)
    ours = encoders(device)
    rng = np.random.default_rng(0)
    n_images = max(naive.BATCH, *(encoder.batch_size for encoder in ours.values()))
    crops = torch.from_numpy(rng.integers(0, 256, (n_images, 3, 224, 224), np.uint8)).to(device)
    pixels = torch.randn(naive.BATCH, 3, 224, 224, device=device)

    def encode_all(encoder: ClipEncoder) -> np.ndarray:
        return np.concatenate([encoder.encode(part) for part in crops.split(encoder.batch_size)])

    def naive_encode() -> None:
        with torch.no_grad():
            for _ in range(n_images // naive.BATCH):
                model.encode_image(pixels).cpu()

    exact = encode_all(ours["torch fp32"])
    jobs = {"naive: torch fp32, batch 32": naive_encode}
    jobs |= {name: partial(encode_all, encoder) for name, encoder in ours.items()}
    seconds = in_turn(jobs, rounds)
    best_products = limits(device, ours["torch fp32"].batch_size)
    base = seconds["naive: torch fp32, batch 32"]
    rows = []
    for name, value in seconds.items():
        rate = n_images / value
        limit = next(product for precision, product in best_products.items() if precision in name)
        error = "" if name not in ours else relative_error(encode_all(ours[name]), exact)
        share = f"{rate * IMAGE_GFLOP / limit:.0%}"
        rows.append((name, f"{rate:.2f}", f"{rate * IMAGE_GFLOP:.0f}", share, f"{base / value:.2f}", error))
    table(("encoder", "images/s", "GFLOP/s", "of the limit", "times naive", "relative error"), rows)


def relative_error(rows: np.ndarray, exact: np.ndarray) -> str:
    """The largest difference over the largest value."""
    return f"{np.abs(rows - exact).max() / np.abs(exact).max():.1e}"


def extraction_stage(device: torch.device, clips: list[Path], long_clips: list[Path], rounds: int) -> None:
    """A video end to end, both recipes; and whether anything is lost between decoding and encoding."""
    model, preprocess = naive.clip_model(device)
    ours = encoders(device)
    best = ours[list(ours)[-1]]
    rows = []
    for like, videos in (("quick", clips + long_clips), ("vadclip", clips)):
        for clip in videos:
            rows.append(extraction_row(clip, like, best, partial(naive.extract, clip, like, model, preprocess), rounds))
            print(*rows[-1], file=sys.stderr, flush=True)
    alone = ("decoding alone s", "encoding alone s", "ours / both alone")
    table(("extraction", "naive s", "ours s", "times naive", *alone), rows)


def extraction_row(clip: Path, like: str, encoder: ClipEncoder, naively: Callable, rounds: int) -> tuple[str, ...]:
    """One video by one recipe: naive, ours, and each of our stages alone."""
    recipe, crops = NAMED_RECIPES[like].recipe, NAMED_RECIPES[like].crops
    on_gpu = encoder.device.type == "cuda"
    open_reader = partial(open_auto, clip, device=encoder.device.index or 0) if on_gpu else partial(PyavReader, clip)
    reader = open_reader()
    n_frames = sum(1 for _ in reader)
    info = reader.info()
    reader.close()
    n_images = n_frames // SNIPPET_LEN * recipe.frames_per_snippet * len(crops)

    def extract() -> None:
        embed_video(open_reader(), video_id="a", recipe=recipe, crops=crops, load_encoder=lambda: encoder)

    def decode() -> None:
        reader = open_reader()
        for _ in snippet_crops(reader, recipe, crops, StillScenes(None)):
            pass
        reader.close()

    def encode() -> None:
        batch = torch.zeros((encoder.batch_size, 3, 224, 224), dtype=torch.uint8, device=encoder.device)
        for _ in range(-(-n_images // encoder.batch_size)):
            encoder.encode(batch)

    jobs = {"naive": naively, "ours": extract, "decode": decode, "encode": encode}
    seconds = in_turn(jobs, rounds, warm=n_images < WARMED_IMAGES)
    return (
        f"{like}, {clip.stem} {info.width}x{info.height}, {n_frames} frames, {info.route}",
        f"{seconds['naive']:.1f}",
        f"{seconds['ours']:.1f}",
        f"{seconds['naive'] / seconds['ours']:.2f}",
        f"{seconds['decode']:.2f}",
        f"{seconds['encode']:.1f}",
        f"{seconds['ours'] / (seconds['decode'] + seconds['encode']):.2f}",
    )


def recipe_stage(device: torch.device, folder: Path, rounds: int) -> None:
    """The same rendered clips by each named recipe, random weights, by the fastest of our encoders here."""
    clips = [render_cctv(folder / f"clip-{seconds}-s.mp4", seconds) for seconds in RECIPE_SECONDS]
    models = dict.fromkeys(named.recipe.model for named in NAMED_RECIPES.values())
    best = {model: list(encoders(device, model).items())[-1] for model in models}

    def extract(name: str) -> None:
        named = NAMED_RECIPES[name]
        for clip in clips:
            embed_video(
                PyavReader(clip), video_id="a", recipe=named.recipe, crops=named.crops,
                load_encoder=lambda: best[named.recipe.model][1],
            )  # fmt: skip

    seconds = in_turn({name: partial(extract, name) for name in NAMED_RECIPES}, rounds)
    n_frames, rows = sum(RECIPE_SECONDS) * CCTV_FPS, []
    for name, value in seconds.items():
        named = NAMED_RECIPES[name]
        images = named.recipe.frames_per_snippet * len(named.crops)
        by = f"{named.recipe.model}, {best[named.recipe.model][0]}"
        times = f"{next(iter(seconds.values())) / value:.0f}"
        rows.append((f"--like {name}", by, str(images), f"{value:.2f}", f"{n_frames / value:.1f}", times))
    table(("recipe", "by", "images a snippet", "s", "frames/s", "times the default"), rows)


def scoring_stage(device: torch.device, rounds: int) -> None:
    """Snippets/s against the plain version, and against the operations that scores need."""
    limit = matrix_gflops(torch.float32, device, naive.BATCH)
    rows = []
    for preset, config in PRESETS.items():
        torch.manual_seed(0)
        network = TrainableDSANet(config, CATEGORIES[preset]).eval().to(device)
        features = 0.45 * np.random.default_rng(0).standard_normal((SCORED_SNIPPETS, 512)).astype(np.float32)
        with torch.no_grad():
            text = network.text_features()
        scorer = Scorer(_checkpoint(preset, network, text), device=str(device))
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
    parser.add_argument("--device", default="cpu", help="cpu or cuda.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--videos", type=Path, default=Path(os.environ.get("VAD_SHARED", "../shared")) / "videos")
    options = parser.parse_args()
    print(machine())
    device = resolve_device(options.device)
    stages = [options.stage] if options.stage else STAGES
    if "encoder" in stages:
        encoder_stage(device, options.rounds)
    if "extraction" in stages:
        clips = [options.videos / clip for clip in CLIPS if (options.videos / clip).exists()]
        if not clips:
            print(f"\nno real clips at {options.videos}: the rendered ones stand alone")
        with tempfile.TemporaryDirectory() as folder:
            hd = render_cctv(Path(folder) / "cctv-5-s.mp4", 5, cell_px=40)
            extraction_stage(
                device, [*clips, hd], [render_cctv(Path(folder) / "cctv-5-min.mp4", CCTV_SECONDS)], options.rounds
            )
    if "recipes" in stages:
        with tempfile.TemporaryDirectory() as folder:
            recipe_stage(device, Path(folder), options.rounds)
    if "scoring" in stages:
        scoring_stage(device, options.rounds)


if __name__ == "__main__":
    main()
