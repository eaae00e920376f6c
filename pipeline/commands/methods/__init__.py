"""Commands about what scores: published checkpoints, scores made elsewhere, figures, comparisons."""
