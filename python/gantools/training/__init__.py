"""Training: one loop (`loop.py`) over the phases of a system, and what it needs around it, a file each."""
