"""One file for each command: turns options into a record, makes one call with it, and prints what came of it.

`extract`, `train` and `detect` are here, and what is about all of it; the others are in a closet beside: `features/`
before and after `extract`, `methods/` around `train`, `findings/` after `detect`.
"""
