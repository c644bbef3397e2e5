"""COND P-DIFF (arXiv 2408.01415): normalizer, autoencoder, denoiser, and the generator they make."""
