"""`AnomalyCurve` + annotations -> figures and pages: ground truth readers, metrics, the review page.

Empty so far: this room is where evaluation and the report will live. Imports from `extract` and `model` only;
`pipeline` may import from here.
"""
