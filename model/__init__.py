"""`VideoEmbeddings` -> `SnippetScores` -> `AnomalyCurve`: DSANet, its checkpoints, scoring, curves and events.

In: snippet embeddings (n, 512). Out: scores per snippet, curves per frame, events. Imports from `extract` only;
`eval` and `pipeline` may import from here.
"""
