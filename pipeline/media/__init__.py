"""Finds the footage behind a curve, seeks in it, and writes parts of it: previews, sound, pictures, lettering."""
