"""Layers and the network, against slow and plain ways to compute the same."""

import json
import math
from dataclasses import replace

import pytest
import torch

from vad_pipeline.extract.embed.encoder_config import EncoderConfig, load_weights
from vad_pipeline.extract.embed.tower import build_clip
from vad_pipeline.model.categories import CATEGORIES
from vad_pipeline.model.heads.dsanet import PRESETS, DSANet, DSANetConfig, dsanet_scores
from vad_pipeline.model.heads.vadclip import VADCLIP_PRESETS
from vad_pipeline.model.initial import clip_text_tower, load_text_tower
from vad_pipeline.model.layers import TransformerBlock, distance_adjacency, similarity_adjacency
from vad_pipeline.model.learning.trainable import TrainableVadCLIP


def test_local_blocks_equal_a_block_diagonal_mask():
    torch.manual_seed(0)
    block = TransformerBlock(32, n_heads=1).eval()
    x = torch.randn(2, 24, 32)
    together = block(x, block_len=8)
    alone = torch.cat([block(part) for part in x.split(8, dim=1)], dim=1)
    assert torch.allclose(together, alone, atol=1e-6)


def test_causal_positions_see_no_later_ones():
    torch.manual_seed(0)
    block = TransformerBlock(32, n_heads=4).eval()
    x = torch.randn(1, 6, 32)
    changed = x.clone()
    changed[:, 4:] += 1
    before, after = block(x, causal=True), block(changed, causal=True)
    assert torch.allclose(before[:, :4], after[:, :4], atol=1e-6) and not torch.allclose(before[:, 4:], after[:, 4:])


@pytest.mark.parametrize("quick_gelu", [True, False])
def test_the_text_tower_has_the_activation_of_its_configuration(tmp_path, quick_gelu):
    text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 12}
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 32, "patch_size": 32}
    about = {"embed_dim": 64, "quick_gelu": quick_gelu, "vision_cfg": vision, "text_cfg": text}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": about}))
    model, weights = f"local-dir:{tmp_path}", "random:0"
    network = TrainableVadCLIP(replace(VADCLIP_PRESETS["ucf-crime"], width=64), CATEGORIES["ucf-crime"])
    load_text_tower(network, clip_text_tower(weights, model), source=weights)
    clip = build_clip(EncoderConfig(model=model, pretrained=weights, device="cpu"), load_weights(weights, model)).eval()
    x = given = 30 * torch.randn(1, 9, 64)
    with torch.inference_mode():
        for block in network.text.blocks:
            x = block(x, causal=True)
        assert torch.allclose(x, clip.transformer(given, attn_mask=clip.attn_mask[:9, :9]), atol=1e-4)


def test_similarity_adjacency_against_loops():
    torch.manual_seed(1)
    x = torch.randn(3, 5, 8) + 2
    lengths = torch.tensor([5, 2, 0])
    adjacency = similarity_adjacency(x, lengths, threshold=0.7)
    expected = torch.zeros(3, 5, 5)
    for b in range(3):
        for i in range(lengths[b]):
            row = [torch.cosine_similarity(x[b, i], x[b, j], dim=0).item() for j in range(lengths[b])]
            weights = [math.exp(value if value > 0.7 else 0) for value in row]
            expected[b, i, : lengths[b]] = torch.tensor(weights) / sum(weights)
    assert torch.allclose(adjacency, expected, atol=1e-6)
    assert adjacency[2].eq(0).all(), "an empty window gives zeros, not NaN"


def test_empty_windows_have_finite_gradients():
    x = torch.randn(1, 4, 8, requires_grad=True)
    similarity_adjacency(x, torch.tensor([0]), threshold=0.7).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_distance_adjacency():
    adjacency = distance_adjacency(4, device=torch.device("cpu"), dtype=torch.float32)
    assert adjacency[0, 3].item() == pytest.approx(math.exp(-3 / math.e))
    assert torch.equal(adjacency, adjacency.T) and adjacency.diagonal().eq(1).all()


def test_probabilities_by_hand():
    config = replace(PRESETS["xd-violence"], categories=("Normal", "A", "B"), probability_temperature=2.0)
    anomaly, category = torch.tensor([[[1.0]]]), torch.tensor([[[3.0, 1.0, 2.0]]])
    anomalous = 1 / (1 + math.exp(-0.5))
    softmax = [math.exp(value / 2) for value in (3, 1, 2)]
    shares = [value / (softmax[1] + softmax[2]) for value in softmax[1:]]
    expected = [1 - anomalous, anomalous * shares[0], anomalous * shares[1]]
    score, found = dsanet_scores(anomaly, category, config)
    assert found.flatten().tolist() == pytest.approx(expected) and float(score) == pytest.approx(1 / (1 + math.exp(-1)))
    far = replace(config, probability_temperature=1.0)
    extreme = torch.tensor([[[500.0, 1.0, 2.0]]])
    assert torch.isfinite(dsanet_scores(anomaly, extreme, far)[1]).all(), "no 0/0 where the normal column takes all"


def test_windows_do_not_see_each_other():
    config = PRESETS["xd-violence"]
    torch.manual_seed(3)
    model = DSANet(config).eval()
    features, lengths = torch.randn(2, 256, 512), torch.tensor([256, 9])
    features[1, 9:] = 0
    text = torch.nn.functional.normalize(torch.randn(7, 512), dim=-1)
    with torch.inference_mode():
        both = model(features, lengths, text)
        alone = model(features[1:], lengths[1:], text, alignment=False)
    assert torch.allclose(both.category_logits[1], alone.category_logits[0], atol=2e-4)
    assert torch.allclose(both.anomaly_logits[1], alone.anomaly_logits[0], atol=2e-4)
    assert both.event_logits.shape == both.background_logits.shape == (2, 1, 7)
    assert alone.event_logits is None and alone.reconstruction is None
    assert "anomaly_logits=(1, 256, 1), category_logits=(1, 256, 7), event_logits=None" in repr(alone)


@pytest.mark.parametrize("preset", PRESETS)
def test_configurations(preset):
    config = PRESETS[preset]
    assert DSANetConfig.from_json(config.to_json()) == config
    assert config.categories[0] == "Normal" and len(set(config.categories)) == len(CATEGORIES[preset])
    with pytest.raises(ValueError, match="expected attention_block to divide 256, got 7"):
        replace(config, attention_block=7)
    with pytest.raises(ValueError, match="unknown fields depth: from a newer"):
        DSANetConfig.from_json('{"categories": ["a", "b"], "depth": 1}')
    with pytest.raises(ValueError, match="missing"):
        DSANetConfig.from_json('{"categories": ["a", "b"]}')


def test_categories():
    assert [len(CATEGORIES[name]) for name in ("ucf-crime", "xd-violence")] == [14, 7]
    assert [category.code for category in CATEGORIES["xd-violence"]] == "A B1 B2 B4 B5 B6 G".split()
    assert CATEGORIES["ucf-crime"][8].name == "RoadAccidents"
    assert CATEGORIES["xd-violence"][5].descriptions == ("car accident",)


def test_sure_scores_keep_event_and_background_finite():
    torch.manual_seed(0)
    model = DSANet(replace(PRESETS["xd-violence"], window_len=64)).eval()
    features, text = torch.randn(2, 64, 512), torch.nn.functional.normalize(torch.randn(7, 512), dim=-1)
    for bias in (-40.0, 40.0):  # a sigmoid that rounds to 0 or 1 everywhere
        model.classifier.bias.data.fill_(bias)
        with torch.inference_mode():
            output = model(features, torch.tensor([64, 3]), text)
        assert torch.isfinite(output.event_logits).all() and torch.isfinite(output.background_logits).all()
