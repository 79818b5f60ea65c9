"""How fast the server is, beside a plain server of the SDK, and where its time goes: `./do bench`, `./do profile`."""
