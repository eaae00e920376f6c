"""A head of the user's own is held to its contract: each line of it that is broken is one sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import NAMED_RECIPES
from vad_pipeline.model.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from vad_pipeline.model.heads.known import result_categories
from vad_pipeline.model.heads.own import OwnConfig, OwnHead, OwnNetwork, tried
from vad_pipeline.model.learning.trainable import losses_of
from vad_pipeline.model.scoring import EmbeddingsError, Scorer

HEAD = """
import torch
from torch import nn

class Good(nn.Module):
    def __init__(self, width, categories):
        super().__init__()
        self.both = nn.Linear(width, 1 + len(categories))
        self.norm = nn.BatchNorm1d(width)
    def forward(self, features, lengths):
        x = self.both(self.norm(features.transpose(1, 2)).transpose(1, 2))
        return x[..., :1], x[..., 1:]

class Alone(Good):
    def forward(self, features, lengths):
        return super().forward(features, lengths)[0], None

function = lambda width, categories: Good(width, categories)
class Parameterless(nn.Module):
    def __init__(self, width, categories): super().__init__()
class NoArguments(nn.Module):
    def __init__(self): super().__init__()
class Leaves(Good):
    def __init__(self, *given): raise SystemExit(0)
class Raises(Good):
    def forward(self, features, lengths): return self.nothing
class Single(Good):
    def forward(self, features, lengths): return super().forward(features, lengths)[0]
class Flat(Good):
    def forward(self, features, lengths): return super().forward(features, lengths)[0].squeeze(-1), None
class Narrow(Good):
    def forward(self, features, lengths): a, c = super().forward(features, lengths); return a, c[..., 1:]
class Whole(Good):
    def forward(self, features, lengths): return super().forward(features, lengths)[0].long(), None
class Nan(Good):
    def forward(self, features, lengths): return super().forward(features, lengths)[0] * float("nan"), None
class Detached(Good):
    def forward(self, features, lengths): a, c = super().forward(features, lengths); return a.detach(), c
class Sometimes(Good):
    def forward(self, features, lengths):
        a, c = super().forward(features, lengths)
        return a, None if self.training else c
class Lazy(nn.Module):
    def __init__(self, width, categories): super().__init__(); self.both = nn.LazyLinear(1)
    def forward(self, features, lengths): return self.both(features), None
class Tied(Good):
    def __init__(self, width, categories): super().__init__(width, categories); self.again = self.both
class Half(Good):
    def forward(self, features, lengths): return super().forward(features, lengths)[0].half(), None
instance = Good(8, ["a", "b"])
class Losing(Good):
    losses = ["mil"]
class Lossy(Good):
    losses = {"calm": lambda output, batch: output.anomaly_logits, "mil": lambda output, batch: batch.nothing}
"""
BROKEN = {
    "gone": "cannot be loaded (AttributeError",
    "function": "must be a class of torch.nn.Module, is <function",
    "torch": "must be a class of torch.nn.Module, is <module",
    "instance": "must be a class of torch.nn.Module, is Good( (both): Linear(",
    "Lazy": "has lazy layers; give them their widths",
    "Parameterless": "has no parameters to train",
    "NoArguments": "cannot be made by NAME(width, categories): TypeError",
    "Leaves": "cannot be made by NAME(width, categories): SystemExit",
    "Raises": "forward(features, lengths) raised AttributeError",
    "Single": "forward must return (anomaly_logits, category_logits or None), returned torch.float32",
    "Flat": "anomaly_logits must be floats of shape (B, T, 1), (2, 16, 1) here, is torch.float32 of shape (2, 16)",
    "Narrow": "category_logits must be floats of shape (B, T, C), (2, 16, 3) here, is torch.float32",
    "Whole": "anomaly_logits must be floats of shape (B, T, 1), (2, 16, 1) here, is torch.int64",
    "Nan": "anomaly_logits of random features are not finite",
    "Detached": "anomaly_logits have no gradient: no parameter that is trained goes into them",
}


@pytest.fixture
def own(tmp_path):
    """own(name) -> a head of that name in mine.py, and its configuration: width 8, windows of 16, three categories."""
    path = tmp_path / "mine.py"
    path.write_text(HEAD)

    def make(name: str) -> tuple[OwnConfig, OwnHead]:
        head = OwnHead.of(f"{path}:{name}")
        config = OwnConfig(("Normal", "Fire", "Fall"), head.name, path.name, head.sha256, window_len=16, width=8)
        return config, head

    return make


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_line_of_the_contract_is_a_sentence(own, name):
    config, head = own(name)
    with pytest.raises(ConfigError) as caught:
        tried(config, head)
    message = str(caught.value)
    assert BROKEN[name] in message and message.startswith(f"--head {head.path}:{name}: ") and "\n" not in message


def test_files_that_hold_no_head(tmp_path):
    with pytest.raises(ValueError, match="expected has_categories as bool, got yes"):
        OwnConfig.from_json('{"categories": ["a", "b"], "has_categories": "yes"}')
    for text, message in ((f"{tmp_path}/gone.py:Head", "no such file"), ("mine.py", "expected FILE.py:NAME")):
        with pytest.raises(ConfigError, match=message):
            OwnHead.of(text)
    (tmp_path / "bad.py").write_text("class Broken(:\n")
    with pytest.raises(ConfigError, match=r"cannot be loaded \(SyntaxError"):
        OwnHead.of(f"{tmp_path}/bad.py:Broken").build(8, ())


def test_losses_are_its_own_or_the_usual_ones(own):
    assert list(losses_of(tried(*own("Good")))) == ["mil", "align"]
    assert list(losses_of(tried(*own("Alone")))) == ["mil"]
    with pytest.raises(ConfigError, match="losses must be functions .output, batch. by name, is \\['mil'\\]"):
        losses_of(tried(*own("Losing")))
    losses = losses_of(tried(*own("Lossy")))
    with pytest.raises(ConfigError, match="Lossy: the loss mil: raised AttributeError"):
        losses["mil"](None, None)
    answer = type("Output", (), {"anomaly_logits": torch.zeros(2, 3, 1)})
    with pytest.raises(ConfigError, match="the loss calm: must return a scalar float tensor"):
        losses["calm"](answer, None)


def checkpoint_of(config: OwnConfig, head: OwnHead, path) -> Checkpoint:
    torch.manual_seed(0)
    network = tried(config, head)
    return Checkpoint(
        preset="ucf-crime", config=network.config, model=network, text_features=None,
        categories=result_categories(network.config), recipe=NAMED_RECIPES["vadclip"].recipe, clip_sha256=None, crop=0,
        threshold=0.5, sha256="", path=path, own=head,
    )  # fmt: skip


def test_a_checkpoint_scores_with_the_very_file_it_was_made_with(own, tmp_path, seeded_path):
    path, embeddings = tmp_path / "best.safetensors", np.random.default_rng(0).standard_normal((20, 8), np.float32)
    every = ("Normal", "Fire", "Fall")
    for name, categories in (("Good", every), ("Tied", every), ("Alone", ("Normal", "Anomaly"))):
        config, head = own(name)
        made = checkpoint_of(config, head, path)
        made.save(path)
        loaded = load_checkpoint(path, own=head)
        assert loaded.config == made.config and loaded.categories == categories
        scores, again = Scorer(made).score(embeddings), Scorer(loaded).score(embeddings)
        assert np.array_equal(scores.anomaly, again.anomaly) and np.array_equal(scores.category, again.category)
        np.testing.assert_allclose(1 - scores.category[:, 0], scores.anomaly, atol=1e-6)

    for given, message in (
        (
            None,
            r"\(mine.py:Alone\), and code is never run because a checkpoint names it; give it with --head FILE.py:Al",
        ),
        (own("Good")[1], "best.safetensors was made with mine.py:Alone; give that one"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_checkpoint(path, own=given)
    with pytest.raises(CheckpointError, match="is a DSANet checkpoint, not one of mine.py; leave --head away"):
        load_checkpoint(seeded_path, own=head)
    head.path.write_text(f"{HEAD}\nopen({str(tmp_path / 'was_run')!r}, 'w')\n")
    with pytest.raises(CheckpointError, match="mine.py: has changed since .*best.safetensors was made"):
        load_checkpoint(path, own=own("Alone")[1])
    with pytest.raises(ConfigError, match="the head file has changed meanwhile"):
        load_checkpoint(path, own=head)
    assert not (tmp_path / "was_run").exists(), "code was run"


def test_scores_that_are_not_finite_cost_that_video(own, tmp_path):
    made = checkpoint_of(*own("Good"), tmp_path / "best.safetensors")
    with torch.no_grad():
        made.model.net.both.bias[0] = float("nan")
    with pytest.raises(EmbeddingsError, match="the network gives scores for them that are not finite"):
        Scorer(made).score(np.zeros((3, 8), np.float32))


def test_answers_are_as_exact_as_losses_need(own):
    assert tried(*own("Half")).answer(torch.zeros(1, 16, 8), torch.tensor([16]))[0].dtype == torch.float32


def test_categories_are_given_always_or_never(own):
    config, head = own("Sometimes")
    network = tried(config, head)
    assert network.config.has_categories
    with pytest.raises(ConfigError, match="forward must give category_logits always or never"):
        network.train().logits(torch.zeros(1, 16, 8), torch.tensor([16]))
    alone = OwnNetwork(replace(network.config, has_categories=False), head)
    with pytest.raises(ConfigError, match="always or never"):
        alone.eval().logits(torch.zeros(1, 16, 8), torch.tensor([16]))
