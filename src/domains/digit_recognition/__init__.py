"""Recognise handwritten digits in 28 x 28 images."""
