"""The paper's figures, from run folders alone. No torch in here."""
