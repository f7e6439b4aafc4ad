"""MRI: raw k-space, how it is sampled, its noise, its coils."""
