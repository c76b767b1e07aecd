"""Augmentations that a discriminator sees images through, differentiable, with random numbers handed in."""
