"""Pipelines on platforms: what is sent there, and what runs there."""
