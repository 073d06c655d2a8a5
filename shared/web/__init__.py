"""HTTP: the operators' small API and the coverage page."""
