"""What is wrong with footage, found in the footage itself."""
