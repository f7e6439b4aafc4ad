"""Files as they are to be reconstructed."""
