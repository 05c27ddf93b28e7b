"""The commands of ./strata, one module each, imported when asked for."""
