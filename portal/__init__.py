"""The assister portal's account directory: the port, and the embedded one."""
