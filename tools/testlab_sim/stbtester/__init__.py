"""The simulated Stb-tester portal: REST API v2 as documented, with what the vendor's own client needs besides."""
