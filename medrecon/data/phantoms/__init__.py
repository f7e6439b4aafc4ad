"""Objects in closed form."""
