"""What the pipeline knows of itself, as Prometheus metrics."""
