"""Trained nets for others: a folder without pickles, on disk or on the Hugging Face hub; `srgan push`, `srgan pull`."""
