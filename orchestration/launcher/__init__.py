"""The step launcher: what runs a step's command, in every engine."""
