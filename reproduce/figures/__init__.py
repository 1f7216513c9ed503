"""The paper's figures, from run folders alone. No torch in here.

model.py          what a figure is made of: finished runs and pictures
sources.py        where the runs are that figures need, and which are missing
spectra.py        Fig. 2, 4, 15 to 22
history.py        Fig. 5, 6, 7
hyperparameter.py Fig. 8, 11, 12
catalogue.py      the list of figures
index.py          index.json, index.md, index.html beside the pictures
"""
