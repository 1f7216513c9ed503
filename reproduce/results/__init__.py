"""Tables of finished runs and what they show."""
