"""Extraction and scoring as one writes them in an afternoon: what the product's speed is compared with.

decord's `get_batch`, PIL and torchvision, open_clip in fp32, 32 images a batch, one stage after the other; scoring one
window after the other, by the whole network as it is trained (normality branch, event and background logits, dense
masks). Text features are made once here too: the published code makes them anew at every call.
"""

from __future__ import annotations

from pathlib import Path

import decord
import numpy as np
import open_clip
import torch
from as_written import plain_forward, plain_text
from PIL import Image

from vad_pipeline.model.learning.trainable import TrainableDSANet
from vad_pipeline.model.training import TrainingBatch

BATCH = 32
SNIPPET, WINDOW = 16, 256
VADCLIP_WIDTH, VADCLIP_HEIGHT, CROP = 340, 256, 224


def clip_model(device: torch.device):
    """ViT-B/16 with random weights and its preprocessing, as open_clip hands them out."""
    torch.manual_seed(0)
    model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-16-quickgelu", pretrained=None)
    return model.eval().to(device), preprocess


def extract(path: Path, like: str, model, preprocess) -> np.ndarray:
    """(n, 512) features by recipe quick, (2, n, 512) by recipe vadclip."""
    reader = decord.VideoReader(str(path))
    if like == "quick":
        middles = [min(start + SNIPPET // 2, len(reader) - 1) for start in range(0, len(reader), SNIPPET)]
        pictures = [Image.fromarray(frame) for frame in reader.get_batch(middles).asnumpy()]
        return _encoded([preprocess(picture) for picture in pictures], model)
    n = len(reader) // SNIPPET
    plain, mirrored = [], []
    for start in range(0, n * SNIPPET, SNIPPET):
        for frame in reader.get_batch(range(start, start + SNIPPET)).asnumpy():
            picture = Image.fromarray(frame).resize((VADCLIP_WIDTH, VADCLIP_HEIGHT), Image.Resampling.BILINEAR)
            left, top = (VADCLIP_WIDTH - CROP) // 2, (VADCLIP_HEIGHT - CROP) // 2
            picture = picture.crop((left, top, left + CROP, top + CROP))
            plain.append(preprocess(picture))
            mirrored.append(preprocess(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    return np.stack([_encoded(images, model).reshape(n, SNIPPET, -1).mean(axis=1) for images in (plain, mirrored)])


def _encoded(images: list[torch.Tensor], model) -> np.ndarray:
    rows = []
    with torch.no_grad():
        for start in range(0, len(images), BATCH):
            batch = torch.stack(images[start : start + BATCH]).to(next(model.parameters()).device)
            rows.append(model.encode_image(batch).cpu().numpy())
    return np.concatenate(rows)


def score(features: np.ndarray, network: TrainableDSANet) -> np.ndarray:
    """(n,) anomaly scores of (n, 512) features, one window after the other."""
    scores = []
    with torch.no_grad():
        text = plain_text(network)
        for start in range(0, len(features), WINDOW):
            piece = torch.from_numpy(features[start : start + WINDOW]).to(text.device)
            window = torch.zeros(1, WINDOW, features.shape[1], device=text.device)
            window[0, : len(piece)] = piece
            labels = torch.zeros(1, len(network.scoring.config.categories), device=text.device)
            labels[0, 0] = 1
            lengths = torch.tensor([len(piece)], device=text.device)
            anomaly = plain_forward(network, TrainingBatch(window, lengths, labels), text)[2]
            scores.append(torch.sigmoid(anomaly[0, : len(piece), 0]).cpu().numpy())
    return np.concatenate(scores)
