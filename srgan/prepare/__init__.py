"""`srgan prepare`: photographs to small squares in Arrow files, once, before training. No torch in here."""
