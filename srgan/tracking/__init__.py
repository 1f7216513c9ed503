"""What a run says to loggers, Weights & Biases above all: a view of its local files, which stay the source of truth."""
