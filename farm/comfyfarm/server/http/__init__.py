"""HTTP: sites, requests, answers, and faults of exchanges."""
