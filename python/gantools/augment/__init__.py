"""Augmentations of what a discriminator sees: modules whose strength is a buffer."""
