"""DSANet's training losses as the method's description writes them down, plainly.

Attention over the whole window under a block-diagonal mask, text features over all 77 token positions, adjacencies,
choice of normal snippets and losses in loops over videos. The modules and their weights are the network's own.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from vad_pipeline.model.layers import distance_adjacency, quick_gelu
from vad_pipeline.model.training import Training


def plain_attention(attention, x, mask):
    q, k, v = (part.unflatten(-1, (attention.n_heads, -1)).transpose(1, 2) for part in attention.qkv(x).chunk(3, -1))
    weights = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + mask, dim=-1)
    return attention.out((weights @ v).transpose(1, 2).flatten(2))


def plain_block(block, x, mask):
    x = x + plain_attention(block.attention, block.norm1(x), mask)
    return x + block.mlp(block.norm2(x))


def plain_text(network):
    text, tokens = network.text, network.tokens
    x = text.token_embedding(tokens) + text.positional_embedding
    mask = torch.full((x.shape[1], x.shape[1]), -torch.inf).triu(1)
    for i, block in enumerate(text.blocks):
        x = plain_block(block, x, mask)
        if i < len(text.adapters):
            x = text._blend(x, text.adapters[i])
    x = text.ln_final(x)[torch.arange(len(tokens)), tokens.argmax(dim=-1)]
    return functional.normalize(functional.leaky_relu(text.projection(x), 0.01), dim=-1)


def plain_similarity(x, lengths):
    adjacency = torch.zeros(len(x), x.shape[1], x.shape[1])
    for i, n in enumerate(lengths.tolist()):
        valid = x[i, :n]
        norm = valid.norm(dim=-1, keepdim=True)
        cosine = valid @ valid.T / (norm @ norm.T + 1e-20)
        adjacency[i, :n, :n] = torch.softmax(functional.threshold(cosine, 0.7, 0), dim=-1)
    return adjacency


def plain_forward(network, batch, text=None):
    model, config = network.scoring, network.scoring.config
    text = plain_text(network) if text is None else text
    length = config.window_len
    blocks = torch.arange(length) // config.attention_block
    mask = torch.zeros(length, length).masked_fill(blocks[:, None] != blocks, -torch.inf)
    x = batch.features + model.position_embedding
    for block in model.blocks:
        x = plain_block(block, x, mask)
    similar = model.similarity_branch(x, plain_similarity(x, batch.lengths))
    near = model.distance_branch(x, distance_adjacency(length, device=x.device, dtype=x.dtype))
    visual = model.merge(torch.cat([similar, near], dim=-1))
    mlp = model.anomaly_mlp
    anomaly = model.classifier(visual + mlp.project(quick_gelu(mlp.expand(visual))))
    category = model._category_logits(visual, anomaly, text)
    score = torch.sigmoid(anomaly)
    sides = [model._alignment_logits(visual, value, text) for value in (score, 1 - score)]
    normal = []
    for i in range(len(visual)):  # detached: the choice, and what is chosen
        order = score[i, :, 0].detach().argsort()[: int(0.8 * length)]
        normal.append(visual[i, order].detach())
    normal = torch.stack(normal)
    branch = network.normality
    patterns = branch.extractor(branch.prototypes.expand(len(visual), -1, -1), normal)
    gather = []
    for i in range(len(visual)):
        cosine = functional.normalize(normal[i], dim=-1) @ functional.normalize(patterns[i], dim=-1).T
        gather.append((1 - cosine).min(dim=-1).values)
    rebuilt = branch.bottleneck(visual)
    for block in branch.decoder:
        rebuilt = block(rebuilt, patterns)
    return text, visual, anomaly, category, *sides, rebuilt, torch.cat(gather).mean()


def plain_losses(network, batch):
    text, visual, anomaly, category, event, background, rebuilt, gather = plain_forward(network, batch)
    score = torch.sigmoid(anomaly)[:, :, 0]
    n_categories = category.shape[2]
    mil, align, events, backgrounds, errors = [], [], [], [], []
    for i, n in enumerate(batch.lengths.tolist()):
        k = int(n / 16 + 1)
        top = score[i, :n].topk(k).values.mean()
        mil.append(functional.binary_cross_entropy(top, batch.anomalous[i]))
        shares = batch.labels[i] / batch.labels[i].sum()
        logits = torch.stack([category[i, :n, c].topk(k).values.mean() for c in range(n_categories)])
        align.append(-(shares * functional.log_softmax(logits, dim=-1)).sum())
        smoothed = 0.9 * shares + 0.1 / n_categories
        events.append(-(smoothed * functional.log_softmax(event[i, 0], dim=-1)).sum())
        target = torch.full((n_categories,), 0.01)
        target[0] = 1
        smoothed = 0.9 * target / target.sum() + 0.1 / n_categories
        backgrounds.append(-(smoothed * functional.log_softmax(background[i, 0], dim=-1)).sum())
        distance = (1 - functional.cosine_similarity(visual[i, :n], rebuilt[i, :n], dim=-1)) / 2
        errors.append((score[i, :n] - distance).square())
    separation = torch.stack(
        [functional.cosine_similarity(text[0], text[c], dim=0).abs() for c in range(1, n_categories)]
    )
    return {
        "mil": torch.stack(mil).mean(),
        "align": torch.stack(align).mean(),
        "text_separation": separation.mean(),
        "event": torch.stack(events).mean(),
        "background": torch.stack(backgrounds).mean(),
        "consistency": torch.cat(errors).mean(),
        "gather": gather,
    }


class TrainingAsWritten(Training):
    """The same step with these losses."""

    def _losses(self, batch):
        return plain_losses(self.network, batch)
