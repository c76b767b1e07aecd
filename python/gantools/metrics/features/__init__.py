"""Features: one pass over images for all that is wanted of them, and the files and the cache they are kept in."""
