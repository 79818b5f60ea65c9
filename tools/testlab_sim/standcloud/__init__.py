"""StandCloud as its clients meet it: the reader API under both of its prefixes, report upload, and sign-in."""
