"""What no single service can say: answers put together from all of them, with the evidence beside each."""
