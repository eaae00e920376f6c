"""The normality branch against plain loops; it must not pull on what it reads as normal."""

import math

import pytest
import torch

from vad_pipeline.model.heads.normality import CrossAttention, NormalityBranch, NormalityConfig

WIDTH, HEADS = 16, 2


@pytest.fixture
def branch():
    torch.manual_seed(0)
    branch = NormalityBranch(WIDTH, NormalityConfig(n_prototypes=3, heads=HEADS, decoder_blocks=2)).double()
    for parameter in branch.parameters():  # as initialised, everything is nearly zero
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    return branch


def cosine(a, b) -> float:
    return float((a @ b / (a.norm() * b.norm())).detach())


def test_rectified_attention_by_hand():
    torch.manual_seed(1)
    attention = CrossAttention(WIDTH, n_heads=HEADS, rectified=True).double()
    attention.learn_scale.data = torch.tensor([0.5, 2.0], dtype=torch.float64).reshape(HEADS, 1, 1)
    x, patterns = torch.randn(1, 4, WIDTH).double(), torch.randn(1, 3, WIDTH).double()
    q, (k, v) = attention.q(x)[0], attention.kv(patterns)[0].chunk(2, dim=-1)
    rows = []
    for i in range(4):
        heads = []
        for h in range(HEADS):
            part = slice(h * WIDTH // HEADS, (h + 1) * WIDTH // HEADS)
            scale = float(attention.learn_scale[h].detach())
            weights = [max(0.0, scale * cosine(q[i, part], k[j, part])) for j in range(3)]
            heads.append(sum(weight * v[j, part] for j, weight in enumerate(weights)))
        rows.append(attention.proj(torch.cat(heads)))
    torch.testing.assert_close(attention(x, patterns)[0], torch.stack(rows))


def test_softmax_attention_by_hand():
    torch.manual_seed(2)
    attention = CrossAttention(WIDTH, n_heads=1, rectified=False).double()
    x, patterns = torch.randn(1, 2, WIDTH).double(), torch.randn(1, 3, WIDTH).double()
    q, (k, v) = attention.q(x)[0], attention.kv(patterns)[0].chunk(2, dim=-1)
    weights = [torch.softmax(torch.stack([q[i] @ k[j] / math.sqrt(WIDTH) for j in range(3)]), 0) for i in range(2)]
    expected = [attention.proj(sum(w[j] * v[j] for j in range(3))) for w in weights]
    torch.testing.assert_close(attention(x, patterns)[0], torch.stack(expected))


def test_gather_loss_is_of_the_lowest_scores_and_their_nearest_patterns(branch):
    torch.manual_seed(3)
    visual, logits = torch.randn(2, 10, WIDTH).double(), torch.randn(2, 10, 1).double()
    _, gather_loss = branch(visual, logits)
    distances = []
    for b in range(2):
        order = sorted(range(10), key=lambda t: float(logits[b, t]))[: int(0.8 * 10)]
        normal = visual[b, order]
        patterns = branch.extractor(branch.prototypes[None], normal[None])[0]
        distances += [min(1 - cosine(feature, pattern) for pattern in patterns) for feature in normal]
    assert float(gather_loss.detach()) == pytest.approx(sum(distances) / len(distances), rel=1e-12)


def test_no_gradient_reaches_what_is_read_as_normal(branch):
    visual = torch.randn(1, 10, WIDTH).double().requires_grad_()
    logits = torch.randn(1, 10, 1).double().requires_grad_()
    rebuilt, gather_loss = branch(visual, logits)
    assert torch.autograd.grad(gather_loss, (visual, logits), allow_unused=True, retain_graph=True) == (None, None)
    through_rebuilding = torch.autograd.grad(rebuilt.sum(), (visual, logits), allow_unused=True)
    assert through_rebuilding[0].abs().sum() > 0 and through_rebuilding[1] is None


def test_a_decoder_block_lets_nothing_through_but_patterns(branch):
    block = branch.decoder[0]
    patterns = torch.zeros(1, 3, WIDTH).double()
    block.attn.kv.weight.data.zero_()
    block.attn.kv.bias.data.zero_()  # nothing to read
    x = torch.randn(1, 5, WIDTH).double()
    out = block(x, patterns)[0]
    torch.testing.assert_close(out, out[:1].expand(5, -1))  # no residual: what came in is gone


@pytest.mark.parametrize("wrong", [{"n_prototypes": 0}, {"normal_share": 0}, {"decoder_blocks": -1}])
def test_configuration(wrong):
    with pytest.raises(ValueError, match="expected"):
        NormalityConfig(**wrong)
