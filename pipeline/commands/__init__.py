"""One file for each command: turns options into a record, makes one call with it, and prints what came of it."""
