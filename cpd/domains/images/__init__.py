"""Styles of pictures on one text-to-image model."""
