//! Features to numbers: streamed moments and the Frechet distance. No Python.
