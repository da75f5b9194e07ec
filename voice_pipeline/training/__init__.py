"""Training features, and one folder for each training backend."""
