"""How far bf16 and the store's float16 move ViT-B/16's embeddings on real clips.

    python tests/bench/precision.py [--videos FOLDER]     needs the footage that VAD_SHARED points to

A plain cosine says nothing with random weights (any two frames are alike), so cosines are taken after subtracting the
mean embedding: of all clips together, and of each clip alone, where random weights leave hardly more than rounding.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from vad_pipeline.extract.encoder import ClipEncoder
from vad_pipeline.extract.encoder_config import EncoderConfig
from vad_pipeline.extract.geometry import crop_frames
from vad_pipeline.extract.reader import PyavReader
from vad_pipeline.extract.recipe import NAMED_RECIPES
from vad_pipeline.extract.sampling import sample_stream

CLIPS = ("ucf/RoadAccidents017_x264.mp4", "odd/survnofight_nofi001.mp4", "ucf/Normal_Videos_063_x264.mp4")


def embeddings(folder: Path, precision: str) -> list[np.ndarray]:
    """(n, 512) float32 of each clip's snippets by recipe quick, not rounded to the store's float16."""
    encoder = ClipEncoder(EncoderConfig(pretrained="random:0", device="cpu", precision=precision))
    recipe = NAMED_RECIPES["quick"].recipe
    clips = []
    for clip in CLIPS:
        reader = PyavReader(folder / clip)
        frames = [frame.rgb() for (frame,) in sample_stream(reader, recipe)]
        reader.close()
        crops = crop_frames(frames, recipe.geometry, (0,))[:, 0]
        clips.append(np.concatenate([encoder.encode(batch) for batch in crops.split(encoder.batch_size)]))
    return clips


def worst_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Smallest cosine of rows."""
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, default=Path(os.environ.get("VAD_SHARED", "../shared")) / "videos")
    folder = parser.parse_args().videos
    exact = embeddings(folder, "fp32")
    others = {
        "bf16": embeddings(folder, "bf16"),
        "float16 (store)": [x.astype(np.float16).astype(float) for x in exact],
    }
    centre = np.concatenate(exact).mean(axis=0)
    print("| against fp32 | plain cosine | around all clips' mean | around each clip's own mean |\n|---|---|---|---|")
    for name, rows in others.items():
        pairs = list(zip(exact, rows, strict=True))
        plain = min(worst_cosine(a, b) for a, b in pairs)
        together = min(worst_cosine(a - centre, b - centre) for a, b in pairs)
        alone = min(worst_cosine(a - a.mean(0), b - a.mean(0)) for a, b in pairs)
        print(f"| {name} | {plain:.5f} | {together:.5f} | {alone:.5f} |")


if __name__ == "__main__":
    main()
