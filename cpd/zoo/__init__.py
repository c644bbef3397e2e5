"""Many adapters of one layout, and folders of adapters as people have them."""
