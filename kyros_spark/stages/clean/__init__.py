"""clean: check an extract, and write what is clean and what is not."""
