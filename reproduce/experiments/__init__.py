"""An experiment a file; each is a target of make."""
