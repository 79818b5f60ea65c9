"""TofuPilot as its clients meet it: REST v1 and v2 over one store (`testlab_sim.production`)."""
