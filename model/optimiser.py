"""How DSANet's two parts are optimised: StableAdamW and its warm-up for the normality branch, AdamW for the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn


class StableAdamW(torch.optim.Optimizer):
    """AdamW with AMSGrad whose step shrinks where a gradient is large against its history.

    Method: Wortsman et al., "Stable and low-precision training for large-scale vision-language models" (2023), with
    the RMS taken of gradient / denominator.

    Args:
        params: what to train.
        lr: rate; set anew before every step by whoever schedules it.
        betas: decay of the first and second moment.
        eps: added to the denominator.
        weight_decay: decoupled.
        clip_threshold: RMS over which a step is shrunk.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-10,
        weight_decay: float = 1e-4,
        clip_threshold: float = 1.0,
    ):
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "clip": clip_threshold}
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One update of everything that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: nn.Parameter, gradient: torch.Tensor, group: dict) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state |= {name: torch.zeros_like(parameter) for name in ("first", "second", "largest_second")}
        state["step"] += 1
        beta1, beta2 = group["betas"]
        first, second, largest = state["first"], state["second"], state["largest_second"]
        first.lerp_(gradient, 1 - beta1)
        second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        torch.maximum(largest, second, out=largest)
        denominator = (largest / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        rms = (gradient / denominator).square().mean().sqrt()
        shrink = (rms / group["clip"]).clamp(min=1)  # stays on the device: no wait for it
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        rate = group["lr"] / (1 - beta1 ** state["step"])
        parameter.sub_(first.div(denominator).mul_(rate / shrink))


def warm_cosine(iteration: int, *, base: float, warmup: int, total: int, final_share: float = 0.1) -> float:
    """Rate at an iteration: linear from 0 to `base` over `warmup` iterations, then cosine to a share of it.

    Args:
        iteration: from 0.
        base: highest rate.
        warmup: iterations of which the first has rate 0 and the last `base`.
        total: iterations until the final rate is reached.
        final_share: of `base`.
    """
    if iteration < warmup:
        return base * iteration / (warmup - 1) if warmup > 1 else 0.0
    progress = min((iteration - warmup) / max(total - warmup, 1), 1.0)
    return base * (final_share + (1 - final_share) * (1 + math.cos(math.pi * progress)) / 2)


def epoch_cosine(epoch: int, *, base: float, n_epochs: int) -> float:
    """Rate in an epoch: cosine from `base` in epoch 0 to 0 after the last."""
    return base * (1 + math.cos(math.pi * epoch / n_epochs)) / 2
