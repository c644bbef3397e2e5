"""Kinds of tasks: what fine-tuning and scoring an adapter means, for text and for pictures."""
