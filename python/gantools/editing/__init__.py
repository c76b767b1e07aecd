"""What one does with latents of a trained run: find those of an image, and directions that change what one can see."""
