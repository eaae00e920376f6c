"""What somebody is told without opening anything: new events; what happened by day and camera."""
