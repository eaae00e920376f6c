"""What there is on this machine, how fast it is, and what is in the way: one page that a bug report can quote."""
