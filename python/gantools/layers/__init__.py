"""Pieces that networks are made of: layers that torch has not, and initialisations."""
