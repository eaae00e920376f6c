"""The command line."""
def main(): pass
