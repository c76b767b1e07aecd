"""Scores of pixels: of pairs of images, of single images, and of how various a set is."""
