"""explain: what each price of a batch is made of."""
