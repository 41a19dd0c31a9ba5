"""How shards are spread over machines, and what is told of it meanwhile."""
