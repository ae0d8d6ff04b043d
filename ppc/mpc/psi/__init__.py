"""Private set intersection: two parties find the rows whose keys both have, and learn nothing about the others."""
