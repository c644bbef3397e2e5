"""Text tasks on one base encoder."""
