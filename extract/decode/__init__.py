"""Bytes -> frames with their times: readers, what a header claims, a look before any work."""
