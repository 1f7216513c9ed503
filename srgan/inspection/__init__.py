"""Looking into checkpoints: `srgan spectra`, `srgan sample`."""
