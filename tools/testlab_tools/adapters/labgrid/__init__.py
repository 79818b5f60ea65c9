"""labgrid: places with their resources, over the coordinator's gRPC."""
