"""A results folder: its head, curves, events, verdicts, tables and figures."""
