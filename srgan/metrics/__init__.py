"""Features of images, scores and their protocols."""
