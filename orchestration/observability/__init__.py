"""How one sees that the platform works: metrics, dashboards, logs."""
