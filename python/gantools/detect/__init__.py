"""Telling generated images from real ones, and normal ones from others."""
