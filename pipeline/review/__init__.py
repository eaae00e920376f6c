"""`report`: the review page RESULTS/report/index.html and the files beside it. The page works from disk, offline."""
