"""The recorded runs of the collapse experiments, their claims, page and picture."""
