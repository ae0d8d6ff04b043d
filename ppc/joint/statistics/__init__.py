"""Statistics over rows that lie at several sites (horizontally split): pooled figures, and nothing of a single site."""
