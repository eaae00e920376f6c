"""`train`: reads and checks what a training run needs, builds the network, trains it, keeps the run's folder."""
