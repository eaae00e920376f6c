"""Optimisers and learning rates over a training run: DSANet's two, and AdamW with a rate that falls in steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

WEIGHT_DECAY = 0.01  # AdamW's; StableAdamW has its own
FALL = 0.1  # of a learning rate at each of its milestones


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Parameters that are trained alike: their optimiser, and its learning rate at each step."""

    optimiser: torch.optim.Optimizer
    rate: Callable[[int], float]
    """Number of the step, from 0 -> learning rate."""
    name: str = ""
    """Empty for the network's main group."""

    @property
    def rate_name(self) -> str:
        """The column of metrics.csv for its learning rate."""
        return f"{self.name}_lr" if self.name else "lr"

    @property
    def state_name(self) -> str:
        """What last.ckpt calls the optimiser's state."""
        return f"{self.name}_optimiser" if self.name else "optimiser"


class StableAdamW(torch.optim.Optimizer):
    """AdamW with AMSGrad that makes a smaller step where a gradient is large compared with earlier ones.

    Method: Wortsman et al., "Stable and low-precision training for large-scale vision-language models" (2023), with
    the RMS taken of gradient / denominator.

    Args:
        params: parameters to train.
        lr: learning rate; `Training` sets it anew before every step.
        betas: decay of the first and second moment.
        eps: added to the denominator.
        weight_decay: decoupled from the gradient, as in AdamW.
        clip_threshold: root mean square of gradient / denominator above which a step is shrunk.
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
        """Update every parameter that has a gradient."""
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
    """Learning rate at an iteration: linear from 0 up to `base`, then along a cosine down to a share of `base`.

    Args:
        iteration: counted from 0.
        base: highest rate.
        warmup: how many iterations rise; the first of them has rate 0 and the last `base`.
        total: iteration at which the final rate is reached.
        final_share: the final rate as a share of `base`.
    """
    if iteration < warmup:
        return base * iteration / (warmup - 1) if warmup > 1 else 0.0
    progress = min((iteration - warmup) / max(total - warmup, 1), 1.0)
    return base * (final_share + (1 - final_share) * (1 + math.cos(math.pi * progress)) / 2)


def epoch_cosine(epoch: int, *, base: float, n_epochs: int) -> float:
    """Learning rate in an epoch, counted from 0: along a cosine from `base` in epoch 0 to 0 after the last one."""
    return base * (1 + math.cos(math.pi * epoch / n_epochs)) / 2


def stepped(epoch: int, *, base: float, milestones: Iterable[int]) -> float:
    """Learning rate in an epoch, counted from 0: `base`, a tenth of it after each of the milestones, in epochs."""
    return base * FALL ** sum(epoch >= milestone for milestone in milestones)
