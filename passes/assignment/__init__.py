"""One option for each layer under linear limits, chosen exactly."""
