"""What is to be run: Table I, runs, their settings."""
