"""Footage found, sought in, and written out again: previews, sound, pictures, letters."""
