"""Trained networks with frozen weights: their layers, and the files that the weights are published in."""
