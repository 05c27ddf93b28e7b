"""What more than one task uses: outputs, training, metrics, figures, command lines."""
