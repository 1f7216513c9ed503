"""Images of any folder, archive or data set, made ready for training. No torch in here."""
