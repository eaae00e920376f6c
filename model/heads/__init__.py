"""One file a method: what turns snippet embeddings into logits, and logits into scores."""
