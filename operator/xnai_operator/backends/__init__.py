"""Where pods run. One Protocol (`base`), one package a runtime."""
