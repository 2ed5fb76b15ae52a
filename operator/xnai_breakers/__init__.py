"""Circuit breakers and their registry."""
