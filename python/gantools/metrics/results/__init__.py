"""Results: the scores with all that decided them, as text, as JSON, in words and as a page."""
