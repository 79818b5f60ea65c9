"""StandCloud as its clients meet it: the reader API under both of its prefixes, and sign-in."""
