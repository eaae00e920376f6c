"""`extract` and `detect` over an archive: which videos, one loop over them, and what becomes of failures."""
