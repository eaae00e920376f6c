"""What a GPU makes of it, in one Markdown table: `make gpu` on the machine that has one, or

    python tests/bench/gpu.py [--rounds 3] [--seconds 20] [--batches 8]

Decoding by codec and size with one and several decoders, the encoder by precision (and by torch.compile, which replays
CUDA graphs), extraction end to end against the naive pipeline on the same card, scoring, a training step. Each row also
says which share of its limit it reaches: for decoding the most that several decoders gave together, for the encoder the
best matrix product, for extraction the slower of decoding and encoding alone. Footage is rendered, so nothing but this
folder is needed. `--device cpu` tries the script where there is no GPU; its figures say nothing of one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import av
import naive
import numpy as np
import torch
from measure import in_turn, machine, matrix_gflops, table
from speed import CCTV_FPS, IMAGE_GFLOP, encoders, render_cctv
from train_step import N_WINDOWS, batch_of

from vad_pipeline.extract.decode.decoders import open_nvdec
from vad_pipeline.extract.decode.reader import PyavReader, Reader
from vad_pipeline.extract.device import resolve_device
from vad_pipeline.extract.embed.embed_video import embed_video
from vad_pipeline.extract.embed.encoder import ClipEncoder
from vad_pipeline.extract.embed.ways import multiplies_bf16
from vad_pipeline.extract.errors import VadError
from vad_pipeline.extract.recipe import NAMED_RECIPES, SNIPPET_LEN
from vad_pipeline.model.categories import CATEGORIES
from vad_pipeline.model.heads.dsanet import PRESETS
from vad_pipeline.model.learning.losses import LOSSES, TrainingBatch
from vad_pipeline.model.learning.train_config import TRAINING_PRESETS, Schedule
from vad_pipeline.model.learning.trainable import TrainableDSANet
from vad_pipeline.model.training import Training

HEAD = ("what", "rate", "its limit", "share of it", "times naive")
CELLS_PX = {20: "640x360", 40: "1280x720", 60: "1920x1080"}  # side of a cell of render_cctv -> the picture
CODECS = {"H.264": None, "HEVC": "libx265", "VP9": "libvpx-vp9"}  # None: as it is rendered
SEVERAL = 4  # decoders at once
NAIVE = "naive, torch fp32, batch 32"
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True, slots=True)
class Footage:
    """A rendered video."""

    path: Path
    codec: str
    size: str
    n_frames: int


def rendered(folder: Path, seconds: int) -> Iterator[Footage]:
    """The same scene in every codec and size."""
    for cell_px, size in CELLS_PX.items():
        first = render_cctv(folder / f"{size}.mp4", seconds, cell_px)
        for codec, library in CODECS.items():
            path = first if library is None else encoded_again(first, folder / f"{size}-{codec}.mkv", library)
            yield Footage(path, codec, size, seconds * CCTV_FPS)


def encoded_again(source: Path, path: Path, library: str) -> Path:
    """A copy by another codec."""
    fast = {"libx265": {"preset": "ultrafast", "x265-params": "log-level=none"}}
    with av.open(str(source)) as given, av.open(str(path), "w") as made:
        stream = made.add_stream(library, rate=CCTV_FPS, options=fast.get(library, {"deadline": "realtime"}))
        stream.width, stream.height, stream.pix_fmt = (
            given.streams.video[0].width,
            given.streams.video[0].height,
            "yuv420p",
        )
        for frame in given.decode(video=0):
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return path


def opened(device: torch.device, path: Path) -> Reader:
    """A reader on the device, without the way back to software: what is not decoded there is not measured as if."""
    return open_nvdec(path, device=device.index or 0) if device.type == "cuda" else PyavReader(path)


def decode(device: torch.device, path: Path) -> int:
    """Decode all frames, which stay where they are; how many there were."""
    reader = opened(device, path)
    try:
        return sum(1 for _ in reader)
    finally:
        reader.close()


def decoding(device: torch.device, footage: list[Footage], rounds: int) -> Iterator[tuple[str, ...]]:
    """Frames/s of one decoder and of several at once."""
    for each in footage:
        what = f"decoding {each.codec} {each.size}"
        try:
            found = decode(device, each.path)
        except VadError as error:
            yield (what, f"not decoded here: {error}", "", "", "")
            continue
        if found != each.n_frames:
            raise SystemExit(f"{each.path}: {found} frames of {each.n_frames}")
        with ThreadPoolExecutor(SEVERAL) as pool:
            jobs: dict[str, Callable[[], object]] = {
                "one": partial(decode, device, each.path),
                "several": lambda path=each.path: list(pool.map(partial(decode, device), [path] * SEVERAL)),
            }
            seconds = in_turn(jobs, rounds)
        one, several = each.n_frames / seconds["one"], SEVERAL * each.n_frames / seconds["several"]
        most = max(one, several)
        for name, rate in (("one decoder", one), (f"{SEVERAL} decoders", several)):
            yield (f"{what}, {name}", f"{rate:.0f} frames/s", f"{most:.0f}", f"{rate / most:.0%}", "")


def encoding(
    device: torch.device, ours: dict[str, ClipEncoder], rounds: int, n_batches: int
) -> Iterator[tuple[str, ...]]:
    """Images/s of the tower by precision, as it is and compiled."""
    model, _ = naive.clip_model(device)
    batch = max(encoder.batch_size for encoder in ours.values())
    crops = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (batch, 3, 224, 224), np.uint8)).to(device)
    pixels = torch.randn(naive.BATCH, 3, 224, 224, device=device)
    n_naive = -(-n_batches * batch // naive.BATCH)

    def naively() -> None:
        with torch.no_grad():
            for _ in range(n_naive):
                model.encode_image(pixels).cpu()

    def several(encode: Callable[[torch.Tensor], object]) -> None:
        for _ in range(n_batches):
            encode(crops)

    jobs = {NAIVE: naively}
    jobs |= {name: partial(several, encoder.encode) for name, encoder in ours.items()}
    if device.type == "cuda":
        for name, encoder in ours.items():
            jobs[f"{name}, torch.compile"] = partial(several, compiled(encoder))
    seconds = in_turn(jobs, rounds)
    n_images = dict.fromkeys(seconds, n_batches * batch) | {NAIVE: n_naive * naive.BATCH}
    base = n_images[NAIVE] / seconds[NAIVE]
    for name, value in seconds.items():
        dtype = next(dtype for word, dtype in DTYPES.items() if word in name)
        limit = matrix_gflops(dtype, device, batch) / IMAGE_GFLOP
        rate = n_images[name] / value
        yield (f"encoder, {name}", f"{rate:.1f} images/s", f"{limit:.1f}", f"{rate / limit:.0%}", f"{rate / base:.2f}")


def compiled(encoder: ClipEncoder) -> Callable[[torch.Tensor], np.ndarray]:
    """The encoder's tower by torch.compile, kernels fused and launched as CUDA graphs."""
    tower = torch.compile(encoder._network, mode="max-autotune", fullgraph=False)

    @torch.inference_mode()
    def encode(crops: torch.Tensor) -> np.ndarray:
        return tower(crops).cpu().numpy()

    return encode


def extraction(device: torch.device, footage: list[Footage], encoder: ClipEncoder, rounds: int) -> Iterator:
    """Frames/s end to end by both recipes, and how much of the slower of decoding and encoding alone is reached."""
    model, preprocess = naive.clip_model(device)
    for like in ("quick", "vadclip"):
        named = NAMED_RECIPES[like]
        recipe, crops = named.recipe, named.crops
        for each in footage:
            if each.codec != "H.264":
                continue
            n_images = each.n_frames // SNIPPET_LEN * recipe.frames_per_snippet * len(crops)

            def ours(path=each.path, recipe=recipe, crops=crops) -> None:
                options = {"video_id": "a", "recipe": recipe, "crops": crops, "load_encoder": lambda: encoder}
                embed_video(opened(device, path), **options)

            def encode(n_images=n_images) -> None:
                batch = torch.zeros((encoder.batch_size, 3, 224, 224), dtype=torch.uint8, device=device)
                for at in range(0, n_images, encoder.batch_size):
                    encoder.encode(batch[: n_images - at])

            jobs: dict[str, Callable[[], object]] = {
                "naive": partial(naive.extract, each.path, like, model, preprocess),
                "ours": ours,
                "decode": partial(decode, device, each.path),
                "encode": encode,
            }
            seconds = in_turn(jobs, rounds)
            slower = max(("decode", "encode"), key=lambda name: seconds[name])
            yield (
                f"extraction, {like}, {each.size}",
                f"{each.n_frames / seconds['ours']:.0f} frames/s",
                f"{each.n_frames / seconds[slower]:.0f} ({slower})",
                f"{seconds[slower] / seconds['ours']:.0%}",
                f"{seconds['naive'] / seconds['ours']:.2f}",
            )


def training(device: torch.device, rounds: int) -> Iterator[tuple[str, ...]]:
    """Steps of 32 full windows, DSANet as UCF-Crime has it."""
    preset = "ucf-crime"
    batch = batch_of(len(CATEGORIES[preset]), PRESETS[preset].window_len)
    batch = TrainingBatch(batch.features.to(device), batch.lengths.to(device), batch.labels.to(device))
    jobs: dict[str, Callable[[], object]] = {}
    for precision in ("fp32", "bf16") if device.type == "cuda" or multiplies_bf16() else ("fp32",):
        torch.manual_seed(0)
        network = TrainableDSANet(PRESETS[preset], CATEGORIES[preset]).to(device)
        config = replace(TRAINING_PRESETS[preset], precision=precision)
        run = Training(network, config, Schedule(10, 100, 1000, 1000, 100), LOSSES)
        jobs[precision] = partial(run.train_step, batch)
    seconds = in_turn(jobs, rounds)
    for name, value in seconds.items():
        yield (f"a training step of {N_WINDOWS} windows, {name}", f"{1 / value:.2f} steps/s", "", "", "")


def card() -> str:
    """Card and driver; the processor where there is none."""
    if not torch.cuda.is_available():
        return machine()
    asked = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return f"{subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()}; {machine()}"


def main(given: list[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20, help="Length of the rendered videos.")
    parser.add_argument("--batches", type=int, default=8, help="How many full batches the encoder gets at a time.")
    options = parser.parse_args(given)
    device = resolve_device(options.device)
    print(card(), flush=True)
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        footage = list(rendered(Path(folder), options.seconds))
        ours = encoders(device)
        fastest = ours[list(ours)[-1]]
        for stage in (
            decoding(device, footage, options.rounds),
            encoding(device, ours, options.rounds, options.batches),
            extraction(device, footage, fastest, options.rounds),
            training(device, options.rounds),
        ):
            for row in stage:
                print(*row, sep=" | ", file=sys.stderr, flush=True)
                rows.append(row)
    table(HEAD, rows)


if __name__ == "__main__":
    main()
