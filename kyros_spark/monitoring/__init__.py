"""Measures of drift and the rules that judge them: pure, over sums that merge."""
