"""Training: one loop (`loop.py`) over named phases (`phases.py`), and what it needs around it, a file each."""
