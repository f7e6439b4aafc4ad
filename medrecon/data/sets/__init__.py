"""Data sets: what is known of them, how they are obtained, checked and made."""
