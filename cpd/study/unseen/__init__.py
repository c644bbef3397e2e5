"""Tasks and styles that nothing was trained on."""
