"""Faces of one analysed record: terminal, markdown, CSV, JSON and plots. Computes nothing."""
