"""Files and simulations as plain frozen samples; no operator is known here."""
