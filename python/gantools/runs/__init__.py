"""Runs on disk: their numbered folders, their checkpoints, their lines of numbers."""
