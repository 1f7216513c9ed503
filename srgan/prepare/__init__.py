"""`srgan prepare`: folders of photographs to arrays of small squares, once, before training. No torch in here."""
