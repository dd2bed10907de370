"""Faces of one analyzed record: terminal, markdown, CSV, JSON and plots. Computes nothing."""
