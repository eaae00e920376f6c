"""`adapt`: what reviewers said becomes a model of one's own cameras, judged before it is written."""
