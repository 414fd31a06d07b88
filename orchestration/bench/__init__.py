"""How fast it is, beside what PostgreSQL allows and what others do: `make bench`.

A throw-away server of its own, durable as a user's, is filled with seeded data. Each figure is a
median of repetitions that take turns with those it is compared to, so that whatever else the
machine does hits both. Results go to `docs/benchmarks/` after every stage.
"""
