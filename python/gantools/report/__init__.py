"""A training as one page: what came of it, its curves, its grids, and how it is made again."""
