"""What is measured on the speech of a bundle."""
