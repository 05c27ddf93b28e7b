"""Find dead, stuck and flickering sensor pixels in footage."""
