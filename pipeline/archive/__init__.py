"""What is done to each video of an archive, once: which ones, in which order, what becomes of failures."""
