"""What can measure a network: training from scratch on a proxy task."""
