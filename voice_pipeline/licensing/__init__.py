"""Licences of everything with a part in a voice."""
