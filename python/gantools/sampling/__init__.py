"""Images from trained generators: latents (`latents.py`), images (`generator.py`), folders of them (`write.py`)."""
