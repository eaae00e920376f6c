"""Training from labels in a store: what goes in, the network, the run's folder, validation."""
