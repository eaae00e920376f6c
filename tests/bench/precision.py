"""How far runtime, bf16 and the store's float16 move ViT-B/16's embeddings on real clips, and scores made from them.

    python tests/bench/precision.py [--videos FOLDER]     needs the footage that VAD_SHARED points to

bf16 is measured where the processor has it in hardware, or with --bf16 (half an hour where it is emulated). Scores are
those of a network with random weights. A plain cosine says nothing with random weights (any two frames are alike), so
cosines are taken after subtracting the mean embedding: of all clips together, and of each clip alone, where random
weights leave hardly more than rounding.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
from measure import machine, table
from seeded import seeded_checkpoint

from vad_pipeline.extract.decode.reader import PyavReader
from vad_pipeline.extract.embed import openvino_tower
from vad_pipeline.extract.embed.encoder import ClipEncoder
from vad_pipeline.extract.embed.encoder_config import EncoderConfig
from vad_pipeline.extract.embed.geometry import crop_frames
from vad_pipeline.extract.embed.sampling import sample_stream
from vad_pipeline.extract.embed.ways import multiplies_bf16
from vad_pipeline.extract.recipe import NAMED_RECIPES
from vad_pipeline.model.checkpoint import load_checkpoint
from vad_pipeline.model.scoring import Scorer

CLIPS = ("ucf/RoadAccidents017_x264.mp4", "odd/survnofight_nofi001.mp4", "ucf/Normal_Videos_063_x264.mp4")


def embeddings(folder: Path, precision: str, runtime: str = "torch") -> list[np.ndarray]:
    """(n, 512) float32 of each clip's snippets by recipe quick, not rounded to the store's float16."""
    encoder = ClipEncoder(EncoderConfig(pretrained="random:0", device="cpu", precision=precision, runtime=runtime))
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


def scores_of(clips: list[np.ndarray]) -> np.ndarray:
    """Anomaly scores of all snippets of all clips, by a seeded network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seeded.safetensors"
        seeded_checkpoint(path, preset="ucf-crime", recipe=NAMED_RECIPES["quick"].recipe, crop=0, seed=0)
        scorer = Scorer(load_checkpoint(path))
    return np.concatenate([scorer.score(rows).anomaly for rows in clips])


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, default=Path(os.environ.get("VAD_SHARED", "../shared")) / "videos")
    parser.add_argument("--bf16", action="store_true", help="Even where it is emulated.")
    options = parser.parse_args()
    folder = options.videos
    exact = embeddings(folder, "fp32")
    others = {"float16 (store)": [x.astype(np.float16).astype(np.float32) for x in exact]}
    if openvino_tower.is_installed():
        others["OpenVINO, fp32"] = embeddings(folder, "fp32", "openvino")
    if options.bf16 or multiplies_bf16():
        others["bf16"] = embeddings(folder, "bf16")
    centre = np.concatenate(exact).mean(axis=0)
    scores = scores_of(exact)
    cosines = ("plain cosine", "around all clips' mean", "around each clip's own mean")
    lines = []
    for name, rows in others.items():
        pairs = list(zip(exact, rows, strict=True))
        plain = min(worst_cosine(a, b) for a, b in pairs)
        together = min(worst_cosine(a - centre, b - centre) for a, b in pairs)
        alone = min(worst_cosine(a - a.mean(0), b - a.mean(0)) for a, b in pairs)
        apart = np.abs(scores_of(rows) - scores).max()
        lines.append((name, f"{plain:.7f}", f"{together:.7f}", f"{alone:.7f}", f"{apart:.1e}"))
    print(machine())
    table(("against torch, fp32", *cosines, "score apart"), lines)


if __name__ == "__main__":
    main()
