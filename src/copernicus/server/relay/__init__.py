"""Working for peers: this server asks them for work and is a worker to them."""
