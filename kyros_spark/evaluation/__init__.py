"""Judge stored predictions: sums over their rows, and the metrics and charts made of them."""
