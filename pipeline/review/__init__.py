"""The review page: RESULTS/report/index.html and what lies beside it. Its page reads from disk alone."""
