"""Commands about footage and its features: what will fail, what is held, what is like what."""
