"""The report on a run: gathered once, told in the terminal and on a page."""
