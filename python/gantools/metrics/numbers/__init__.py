"""The numbers: scores of plain arrays of features, without torch and without images."""
