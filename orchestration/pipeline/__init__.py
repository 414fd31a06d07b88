"""What the DAGs' tasks do; imported by Airflow only."""
