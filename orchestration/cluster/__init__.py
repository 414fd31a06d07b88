"""What runs the pipeline: secrets, the door to dbt, health checks, first start of Airflow."""
