"""What is done with the body of ``POST /prompt`` before the job is queued."""
