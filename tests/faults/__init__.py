"""Kills, flipped bits, bad inputs, full disks, by the hundred: `make fault-injection`. No part of `make test`.

Every trial is drawn from SEED. Trials run in processes that are forked from one that has imported everything, on tiny
nets, so that hundreds fit into minutes.
"""
