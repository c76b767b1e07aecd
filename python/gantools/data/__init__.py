"""Image sets: where they come from (sources), how they are prepared, and how a prepared set is read."""
