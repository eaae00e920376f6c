"""A results folder: its run.json, curves, events, verdicts, tables and figures."""
