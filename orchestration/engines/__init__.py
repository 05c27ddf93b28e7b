"""Engines: what starts launchers, on this machine and elsewhere."""
