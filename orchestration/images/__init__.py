"""Images of tasks: what they are made of, how they are built, where they are pushed."""
