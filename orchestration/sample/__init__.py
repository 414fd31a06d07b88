"""Made-up transactions in the layout of the real file: a small sample, or as many as wanted."""
