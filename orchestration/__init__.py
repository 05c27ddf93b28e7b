"""When and where things run: the outer layer, which may use everything inside it."""
