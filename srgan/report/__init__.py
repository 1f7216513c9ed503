"""Runs as one self-contained page. Reads the files of runs only; no torch in here."""
