"""Numbers of arrays: distances between vectors, between sets of pictures, and intervals."""
