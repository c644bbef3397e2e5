"""The commands of ``cpd``, a module each: what they are called with, and what they print."""
