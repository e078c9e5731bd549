"""What stands behind attention in a layer: an MLP, or experts and their router."""
