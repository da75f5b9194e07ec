"""Licences of weights, and consent of speakers."""
