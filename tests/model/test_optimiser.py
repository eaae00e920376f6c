"""StableAdamW and the schedules against their definitions, written out."""

import numpy as np
import pytest
import torch
from torch import nn

from vad_pipeline.model.learning.optimiser import StableAdamW, epoch_cosine, warm_cosine


def test_stable_adamw_is_its_definition():
    rng = np.random.default_rng(0)
    start = rng.standard_normal((3, 4))
    parameter = nn.Parameter(torch.tensor(start))
    optimiser = StableAdamW([parameter], lr=0.1)
    p, m, v, largest = start.copy(), np.zeros_like(start), np.zeros_like(start), np.zeros_like(start)
    shrunk = 0
    for step in range(1, 9):
        gradient = rng.standard_normal((3, 4)) * (0.01 if step % 3 else 5)  # bursts, and a fall that AMSGrad remembers
        parameter.grad = torch.tensor(gradient)
        optimiser.step()
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        largest = np.maximum(largest, v)
        denominator = np.sqrt(largest) / np.sqrt(1 - 0.999**step) + 1e-10
        rms = np.sqrt(np.mean((gradient / denominator) ** 2))
        shrunk += rms > 1
        p = p * (1 - 0.1 * 1e-4) - 0.1 / (1 - 0.9**step) / max(1.0, rms) * m / denominator
        np.testing.assert_allclose(parameter.detach().numpy(), p, rtol=1e-12)
    assert 0 < shrunk < 8, "both a clipped and an unclipped step must have been tried"


def test_stable_adamw_leaves_what_has_no_gradient():
    parameter = nn.Parameter(torch.ones(2))
    StableAdamW([parameter], lr=0.1).step()
    assert parameter.tolist() == [1, 1]


def test_warm_cosine():
    rates = [warm_cosine(i, base=1.0, warmup=5, total=25) for i in range(40)]
    assert rates[:5] == [0, 0.25, 0.5, 0.75, 1.0]
    assert rates[5] == 1.0
    assert rates[15] == pytest.approx(0.1 + 0.9 * 0.5)
    assert rates[25:] == pytest.approx([0.1] * 15)
    assert all(a > b for a, b in zip(rates[5:25], rates[6:26], strict=True))


def test_epoch_cosine():
    assert [epoch_cosine(e, base=2.0, n_epochs=4) for e in (0, 2, 4)] == pytest.approx([2.0, 1.0, 0.0])
