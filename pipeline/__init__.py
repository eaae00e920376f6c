"""Wires the rooms: which videos, in which order, what becomes of failures, and the command line.

In: options and paths. Out: stores, results, exit codes. Imports from every other room; nothing imports it.
"""
