"""What passes between processes, and the only folder that imports rpyc."""
