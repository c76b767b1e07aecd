"""What is scored and what it is scored against: images from any place, as a number of them that can be read resized."""
