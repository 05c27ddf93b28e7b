"""Pipelines: what a task's ``pipeline.yaml`` says, read, checked and spelled out."""
