"""What only this study needs: presets, notebooks, figures, the book."""
