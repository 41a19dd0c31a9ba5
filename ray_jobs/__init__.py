"""How the method is spread over a cluster, and the command line."""
