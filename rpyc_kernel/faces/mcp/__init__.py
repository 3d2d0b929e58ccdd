"""A server for agents, of the Model Context Protocol: an agent is a session of the kernel like others."""
