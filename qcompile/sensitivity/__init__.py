"""What each contraction's fewer bits cost at the outputs: estimators, and the table they fill."""
