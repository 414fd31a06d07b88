"""Logs in Elasticsearch: what is sent, as whom, and for how long it is kept."""
