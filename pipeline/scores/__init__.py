"""Scores that were made elsewhere: read, laid over footage, and written as a results folder."""
