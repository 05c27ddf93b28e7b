"""What ``./strata check`` looks for: a module for each kind of file."""
