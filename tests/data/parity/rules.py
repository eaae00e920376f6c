"""How the parity figures' weights and inputs are drawn: by name and seed alone, so nothing large is stored.

numpy's Generator gives the same float32 normals on every platform.
"""

import zlib

import numpy as np


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The parameter `name` (its published name, `clipmodel.` for both copies of CLIP) as float32."""
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
    if len(shape) >= 2:
        gain = 0.15 if name.startswith("classifier") else 0.7
        return (z * np.float32(gain / np.sqrt(np.prod(shape[1:])))).astype(np.float32)
    if name.endswith("weight"):
        return (1 + np.float32(0.1) * z).astype(np.float32)
    return (np.float32(0.02) * z).astype(np.float32)


def video(rng: np.random.Generator, n: int, segs: int = 6, noise: float = 0.35) -> np.ndarray:
    """n snippet embeddings (n, 512) float32, exactly representable in float16: scenes plus noise."""
    cuts = (
        np.sort(rng.choice(np.arange(1, n), size=min(segs - 1, n - 1), replace=False)) if n > 1 else np.array([], int)
    )
    scene = np.zeros(n, int)
    for cut in cuts:
        scene[cut:] += 1
    scenes = rng.standard_normal((segs, 512), dtype=np.float32)
    base = rng.standard_normal((1, 512), dtype=np.float32)
    x = base + 0.9 * scenes[scene] + noise * rng.standard_normal((n, 512), dtype=np.float32)
    return (x * 0.45).astype(np.float16).astype(np.float32)


def training_batch(step: int, categories: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Step `step` of the training trace: features (8,256,512), lengths (8,), labels (8,C)."""
    rng = np.random.default_rng(2511 + 100 + step)
    lengths = rng.integers(8, 257, size=8)
    features = np.zeros((8, 256, 512), np.float32)
    for i, n in enumerate(lengths):
        features[i, :n] = video(rng, int(n))
    labels = np.zeros((8, categories), np.float32)
    labels[:4, 0] = 1
    for i in range(4, 8):
        labels[i, int(rng.integers(1, categories))] = 1
    return features, lengths, labels
