"""Features, scores and verdicts. `collapse` needs no torch: reporting reads runs with it."""
