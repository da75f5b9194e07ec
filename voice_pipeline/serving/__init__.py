"""The HTTP surface: promoted voices speak, and other programs verify."""
