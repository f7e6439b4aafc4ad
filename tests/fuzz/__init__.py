"""Files that were damaged by chance or by intent, and what the commands make of them."""
