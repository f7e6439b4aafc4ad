"""CT: sinograms, the scanners that measure them, their units and photons."""
