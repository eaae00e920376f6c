"""What the weights in a training run's folder are called. Without torch: commands name them."""

BEST_NAME = "best.safetensors"
"""The checkpoint: the best weights so far."""
LAST_NAME = "last.ckpt"
"""The state by which `train --resume` goes on; no checkpoint."""
