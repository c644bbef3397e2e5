"""Conditional LoRA parameter generation: the method of arXiv 2408.01415, small enough to read.

Importing the package touches no file, no network and no random state.
"""

__version__ = "0.1.0"
