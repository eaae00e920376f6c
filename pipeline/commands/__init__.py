"""One file a command: options -> one record -> one call -> what is printed."""
