"""Images of tasks: what they are made of, how they are built, and where they are pushed."""
