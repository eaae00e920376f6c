"""Losses against plain loops over videos, on random and on awkward batches."""

import math

import numpy as np
import pytest
import torch

from vad_pipeline.model.heads.dsanet import DSANetOutput
from vad_pipeline.model.learning.losses import LOSSES, TrainingBatch, top_k_mean

C, T, D = 5, 40, 8
LENGTHS = {
    "random": [40, 17, 33, 5],
    "one snippet": [1, 1, 1, 1],
    "all padding but one": [40, 1, 40, 1],
    "steps of k": [15, 16, 31, 32],
    "full": [40, 40, 40, 40],
}


def oracle_top_k(values: np.ndarray, length: int) -> float:
    best = sorted(values[:length].tolist(), reverse=True)[: int(length / 16 + 1)]
    return sum(best) / len(best)


def oracle_cross_entropy(logits: np.ndarray, target: list[float]) -> float:
    total = math.log(sum(math.exp(value - max(logits)) for value in logits)) + max(logits)
    return sum(share * (total - value) for share, value in zip(target, logits, strict=True))


def oracle_smoothed(target: list[float]) -> list[float]:
    return [0.9 * value / sum(target) + 0.1 / len(target) for value in target]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@pytest.fixture(params=LENGTHS)
def case(request):
    """A batch and an output drawn for it, float64."""
    rng = np.random.default_rng(len(request.param))
    lengths = np.array(LENGTHS[request.param])
    labels = np.zeros((4, C))
    labels[[0, 1], 0] = 1
    labels[2, 3] = 1
    labels[3, [1, 4]] = 1  # two categories at once
    features = rng.standard_normal((4, T, D))
    features[np.arange(T) >= lengths[:, None]] = 0
    anomaly = rng.standard_normal((4, T, 1))
    anomaly[0, 3:9] = anomaly[0, 3]  # ties
    arrays = {
        "anomaly_logits": anomaly,
        "category_logits": 3 * rng.standard_normal((4, T, C)),
        "event_logits": 3 * rng.standard_normal((4, 1, C)),
        "background_logits": 3 * rng.standard_normal((4, 1, C)),
        "text_features": rng.standard_normal((C, D)),
        "visual": rng.standard_normal((4, T, D)),
        "reconstruction": rng.standard_normal((4, T, D)),
        "gather_loss": np.float64(0.7),
    }
    output = DSANetOutput(**{name: torch.as_tensor(value) for name, value in arrays.items()})
    return output, TrainingBatch(torch.as_tensor(features), torch.as_tensor(lengths), torch.as_tensor(labels))


def oracle(output: DSANetOutput, batch: TrainingBatch) -> dict[str, float]:
    values = {name: getattr(output, name).numpy() for name in output.__dataclass_fields__}
    labels, lengths = batch.labels.numpy(), batch.lengths.numpy()
    score = 1 / (1 + np.exp(-values["anomaly_logits"][:, :, 0]))
    text, n = values["text_features"], len(labels)
    totals = dict.fromkeys(("mil", "align", "event", "background"), 0.0)
    errors = []
    for i in range(n):
        top = oracle_top_k(score[i], lengths[i])
        totals["mil"] -= math.log(1 - top if labels[i, 0] else top) / n
        logits = np.array([oracle_top_k(values["category_logits"][i, :, c], lengths[i]) for c in range(C)])
        totals["align"] += oracle_cross_entropy(logits, list(labels[i] / labels[i].sum())) / n
        totals["event"] += oracle_cross_entropy(values["event_logits"][i, 0], oracle_smoothed(list(labels[i]))) / n
        target = oracle_smoothed([1.0] + [0.01] * (C - 1))
        totals["background"] += oracle_cross_entropy(values["background_logits"][i, 0], target) / n
        for t in range(lengths[i]):
            rebuilt = (1 - cosine(values["visual"][i, t], values["reconstruction"][i, t])) / 2
            errors.append((score[i, t] - rebuilt) ** 2)
    return totals | {
        "text_separation": sum(abs(cosine(text[0], text[c])) for c in range(1, C)) / (C - 1),
        "consistency": sum(errors) / len(errors),
        "gather": 0.7,
    }


def test_every_loss_equals_its_loop(case):
    expected = oracle(*case)
    assert expected.keys() == LOSSES.keys()
    for name, loss in LOSSES.items():
        assert float(loss(*case)) == pytest.approx(expected[name], rel=1e-12), name


def test_top_k_mean_ignores_padding_however_high():
    values = torch.tensor([[1.0, 2.0, 99.0, 99.0]])
    assert top_k_mean(values, torch.tensor([2])).tolist() == [2.0]
    assert top_k_mean(-values.unsqueeze(-1).abs(), torch.tensor([2])).tolist() == [[-1.0]]


def test_top_k_mean_sends_its_gradient_to_the_top_alone():
    values = torch.arange(40.0).reshape(1, 40).requires_grad_()
    top_k_mean(values, torch.tensor([32])).sum().backward()
    assert values.grad.nonzero()[:, 1].tolist() == [29, 30, 31]
    assert values.grad[0, 31] == pytest.approx(1 / 3)


def test_a_batch_says_what_shapes_it_takes():
    with pytest.raises(ValueError, match=r"expected features \(B, T, D\), lengths \(B,\)"):
        TrainingBatch(torch.zeros(2, 3, 4), torch.zeros(3), torch.zeros(2, 5))
