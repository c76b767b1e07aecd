"""Scores: images to features to numbers, each with the protocol it was made by."""
