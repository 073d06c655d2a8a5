"""Pure knowledge: no clock, no network, no environment, no SDK."""
