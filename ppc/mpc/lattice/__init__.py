"""Ring-LWE encryption for products of matrices between two parties: one knows a matrix in the clear, one encrypts."""
