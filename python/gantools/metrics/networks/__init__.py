"""Feature extractors: networks that turn images into features, and the rules by which images come to them."""
