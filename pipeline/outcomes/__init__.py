"""What became of each video in each run: written as it happens, read for what failed before and for `status`."""
