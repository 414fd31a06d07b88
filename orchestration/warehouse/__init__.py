"""The PostgreSQL side of the platform: where it is, how it starts, who may do what."""
