"""What puts the parts together: the config, the workplace, child processes."""
